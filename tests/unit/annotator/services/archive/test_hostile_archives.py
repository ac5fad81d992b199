"""An archive from anybody: restored as a whole, or refused in one line that names what is wrong."""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_world import register

from annotator.errors import AnnotatorError, InputError
from annotator.services.archive.backup import back_up
from annotator.services.archive.restore import restore
from annotator.settings import init_home, load_settings
from annotator.store.database import Database
from annotator.store.projects import ensure_project

SHA256_OF_X = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


class Members(dict[str, bytes]):
    """The files of an archive; a failing test does not print them."""

    def __repr__(self) -> str:
        return f"Members({sorted(self)})"


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The files of a sound archive."""
    home = tmp_path_factory.mktemp("sound") / "ward"
    init_home(home, project="ward", unit="sentence", encoder="minilm", queue_url="redis://there/0")
    database = Database(load_settings(home).database)
    database.upgrade()
    with database.write() as session:
        ensure_project(session, name="ward", unit="sentence")
    database.close()
    file = home.parent / "b.tar"
    back_up(load_settings(home), file)
    with tarfile.open(file) as tar:
        contents = ((info.name, tar.extractfile(info)) for info in tar)
        return Members((name, found.read()) for name, found in contents if found is not None)


@pytest.fixture
def manifest(members: Members) -> dict[str, Any]:
    """Its manifest, to be changed."""
    return dict(json.loads(members["manifest.json"]))


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A folder that is not there yet."""
    return tmp_path / "new"


def pack(file: Path, members: Members, manifest: object, *odd: tarfile.TarInfo) -> Path:
    """Write an archive with another manifest, and with odd entries before the sound ones."""
    contents = {**members, "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(file, "w") as tar:
        for info in odd:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        for name, content in contents.items():
            if name not in {info.name for info in odd}:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return file


def is_untouched(home: Path) -> bool:
    return not home.exists() or list(home.iterdir()) == []


# ---------------------------------------------------------------- the manifest

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("../x"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=3,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Each place within a JSON value, and the whole."""
    yield path
    keys = list(value) if isinstance(value, dict) else range(_length(value))
    for key in keys:
        yield from places(value[key], (*path, key))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, list) else 0


def change(value: Any, path: tuple[Any, ...], draw: Callable[[st.SearchStrategy[Any]], Any]) -> Any:
    """Replace what stands at a place, leave it out, or give it another name."""
    if not path:
        return draw(junk)
    *way, last = path
    inner = value
    for key in way:
        inner = inner[key]
    how = draw(st.sampled_from(["replace", "remove", "rename"]))
    old = inner.pop(last)
    if how == "replace" and isinstance(inner, dict):
        inner[last] = draw(junk)
    elif how == "rename" and isinstance(inner, dict):
        inner[draw(st.text(max_size=8) | st.just("models/../x"))] = old
    return value


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_an_archive_with_any_manifest_is_restored_or_refused(
    data: st.DataObject, members: Members
) -> None:
    sound = json.loads(members["manifest.json"])
    path = data.draw(st.sampled_from(list(places(sound))))
    changed = change(copy.deepcopy(sound), path, data.draw)

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "new"
        file = pack(Path(folder) / "b.tar", members, changed)
        try:
            report = restore(file, home)
        except AnnotatorError:
            assert is_untouched(home)
        else:
            assert report.rows["project"] == 1
            assert {"annotator.db", "annotator.toml"} <= {one.name for one in home.iterdir()}
        assert {one.name for one in Path(folder).iterdir()} <= {"b.tar", "new"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    i_entry=st.integers(0, 2), place=st.integers(0, 511), size=st.integers(1, 99), byte=st.binary()
)
def test_an_archive_with_any_header_overwritten_is_restored_or_refused(
    i_entry: int, place: int, size: int, byte: bytes, members: Members
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = pack(Path(folder) / "b.tar", members, json.loads(members["manifest.json"]))
        with tarfile.open(file) as tar:
            at = tar.getmembers()[i_entry].offset + place
        packed = bytearray(file.read_bytes())
        packed[at : at + size] = (byte[:1] or b"7") * size
        file.write_bytes(packed)
        try:
            restore(file, Path(folder) / "new")
        except AnnotatorError:
            assert is_untouched(Path(folder) / "new")


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/evil", "models/.x/y", "models/../y", "models/x/..", "models/x"),
        *("models/x/../../evil", "models/x/a\x00b", "models\\x\\y", "annotator.db", ""),
    ],
)
def test_a_file_that_belongs_elsewhere_is_refused(
    name: str, members: Members, manifest: dict[str, Any], new: Path
) -> None:
    manifest["files"][name] = {"sha256": SHA256_OF_X, "size": 1}

    with pytest.raises(InputError, match="has no place in a backup"):
        restore(pack(new.with_name("b.tar"), members, manifest), new)

    assert not new.exists()


@pytest.mark.parametrize("name", ["../x", "..", ".hidden", "a/b", "", "x\n"])
def test_a_model_whose_name_is_a_path_is_refused(
    name: str, members: Members, manifest: dict[str, Any], new: Path
) -> None:
    manifest["models"] = [name]

    with pytest.raises(InputError, match=r"manifest\.json models\.0"):
        restore(pack(new.with_name("b.tar"), members, manifest), new)


def test_a_database_whose_model_has_the_name_of_a_path_is_refused(
    tmp_path: Path, new: Path, tiny_model: Path
) -> None:
    home = tmp_path / "ward"
    init_home(home, project="ward", unit="sentence", encoder="minilm")
    database = Database(load_settings(home).database)
    database.upgrade()
    with database.write() as session:
        project = ensure_project(session, name="ward", unit="sentence")
    register(database, project, tiny_model, name="../x")
    database.close()
    back_up(load_settings(home), tmp_path / "b.tar", models="none")

    with pytest.raises(InputError, match="no folder's name"):
        restore(tmp_path / "b.tar", new)

    assert is_untouched(new)


# ---------------------------------------------------------------- the entries


def entry(kind: bytes, *, size: int = 0, **more: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo("lexicon.tsv")
    info.type, info.size = kind, size
    for name, value in more.items():
        setattr(info, name, value)
    return info


@pytest.mark.parametrize(
    "odd",
    [
        entry(tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry(tarfile.SYMTYPE, linkname="annotator.toml"),
        entry(tarfile.LNKTYPE, linkname="../../etc/passwd"),
        entry(tarfile.LNKTYPE, linkname="annotator.toml"),
        entry(tarfile.CHRTYPE, devmajor=1, devminor=5),
        entry(tarfile.FIFOTYPE),
        entry(tarfile.DIRTYPE),
        entry(tarfile.REGTYPE, size=2),
        entry(
            tarfile.REGTYPE,
            size=1,
            pax_headers={"GNU.sparse.size": str(10**12), "GNU.sparse.map": "0,1"},
        ),
    ],
    ids=lambda odd: f"type {odd.type.decode()} {odd.linkname} {odd.size or ''}",
)
def test_an_entry_that_is_no_plain_file_of_its_size_is_refused(
    odd: tarfile.TarInfo, members: Members, manifest: dict[str, Any], new: Path
) -> None:
    manifest["files"]["lexicon.tsv"] = {"sha256": SHA256_OF_X, "size": 1}

    with pytest.raises(InputError, match=r"not the plain file|not a whole backup"):
        restore(pack(new.with_name("b.tar"), members, manifest, odd), new)

    assert is_untouched(new)


def make_pipe(place: Path) -> None:
    os.mkfifo(place)


def make_link(place: Path) -> None:
    place.symlink_to("/dev/zero")


def make_bomb(place: Path) -> None:
    with gzip.open(place, "wb") as bomb:
        bomb.write(bytes(50_000_000))


@pytest.mark.parametrize("make", [make_pipe, make_link, make_bomb, Path.mkdir, lambda _place: None])
def test_what_is_no_archive_at_all_is_refused_at_once(
    make: Callable[[Path], None], tmp_path: Path, new: Path
) -> None:
    make(tmp_path / "b.tar")

    with pytest.raises(InputError, match=r"b\.tar is not a (file|whole backup)"):
        restore(tmp_path / "b.tar", new)


# ---------------------------------------------------------------- the settings


def test_a_new_folder_takes_no_address_from_an_archive_and_says_which_differ(
    members: Members, manifest: dict[str, Any], new: Path
) -> None:
    report = restore(pack(new.with_name("b.tar"), members, manifest), new)

    assert load_settings(new).queue_url is None
    assert "queue_url: redis://there/0 in the backup, not set here" in report.to_do


def test_addresses_are_taken_on_demand(
    members: Members, manifest: dict[str, Any], new: Path
) -> None:
    restore(pack(new.with_name("b.tar"), members, manifest), new, with_settings=True)

    assert load_settings(new).queue_url == "redis://there/0"


def test_a_project_that_is_there_keeps_its_settings_and_hears_which_differ(
    members: Members, manifest: dict[str, Any], new: Path
) -> None:
    init_home(new, project="ward", unit="sentence", encoder="minilm", epochs=3)
    report = restore(pack(new.with_name("b.tar"), members, manifest), new)

    assert load_settings(new).epochs == 3
    assert report.to_do[1:] == ["queue_url: redis://there/0 in the backup, not set here"]
