"""What is in a backup, who may read it, and what becomes of a damaged one."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from backend_world import World
from command_line import Run

from annotator.errors import ConflictError, InputError, StoreError
from annotator.services.archive.backup import BackupReport, back_up
from annotator.services.archive.restore import restore
from annotator.services.inference.versions import load_version
from annotator.settings import Settings, load_settings, write_secrets
from annotator.store.database import Database
from annotator.store.projects import get_project
from annotator.store.versions import active_version

pytestmark = pytest.mark.slow

PASSWORD = "Quillfeather-9"


def take(world: World, tmp_path: Path, **options: Any) -> tuple[Path, BackupReport]:
    file = tmp_path / "b.tar"
    return file, back_up(load_settings(world.settings.home), file, **options)


def test_a_project_lives_again_in_another_folder_with_its_model(
    annotator: Run, world: World, tmp_path: Path
) -> None:
    file, new = tmp_path / "b 100%.tar", tmp_path / "a folder #7 100%?"
    made = annotator("db", "backup", file, "--home", world.settings.home, "--json")
    assert made.code == 0, made.err
    shutil.rmtree(world.settings.home)  # the disk dies

    done = annotator("db", "restore", file, "--home", new, "--json")

    assert done.code == 0, done.err
    settings = load_settings(new)
    database = Database(settings.database)
    with database.read() as session:
        active = active_version(session, get_project(session, "default").id)
    database.close()
    assert active is not None
    assert Path(active.folder) == settings.models_folder / "tiny-1"
    load_version(active, device="cpu").predict([["Ready", "."]])
    assert settings.min_steps == 2
    assert settings.backend_password.get_secret_value()
    assert "run annotator connect" in json.loads(done.out)["to_do"][-1]
    assert annotator("status", "--home", new).code == 0


def test_only_its_owner_may_read_it_and_nothing_else_is_left(world: World, tmp_path: Path) -> None:
    file, report = take(world, tmp_path)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert report.size_bytes == file.stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"b.tar", "modelled"}


def test_no_secret_is_in_it_unless_asked_for(world: World, tmp_path: Path) -> None:
    home = world.settings.home
    write_secrets(home, {"studio_token": PASSWORD})
    with (home / "annotator.toml").open("a", encoding="utf-8") as file:
        file.write(f'queue_url = "redis://ward:{PASSWORD}@host/0"\n')
        file.write(f'# once: database_url = "postgresql://ward:{PASSWORD}@host/x"\n')

    bare, report = take(world, tmp_path)
    assert PASSWORD.encode() not in bare.read_bytes()
    assert "setting queue_url: it holds a secret" in report.left_out
    whole, _ = take(world, tmp_path, with_secrets=True, replace=True)
    shown = restore(whole, tmp_path / "without").to_do
    restore(whole, tmp_path / "new", with_settings=True)

    assert PASSWORD not in "".join(shown)
    assert load_settings(tmp_path / "without").studio_token.get_secret_value() == ""
    assert load_settings(tmp_path / "new").studio_token.get_secret_value() == PASSWORD
    assert stat.S_IMODE((tmp_path / "new" / "secrets.toml").stat().st_mode) == 0o600


def test_the_lexicon_goes_along(world: World, tmp_path: Path) -> None:
    (world.settings.home / "lexicon.tsv").write_text("term\ttype\nrash\tEffect\n", encoding="utf-8")

    file, _ = take(world, tmp_path)
    restore(file, tmp_path / "new")

    assert (tmp_path / "new" / "lexicon.tsv").read_text(encoding="utf-8").endswith("rash\tEffect\n")


def test_a_file_that_is_there_is_replaced_only_on_demand_and_only_by_a_whole_one(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "b.tar").write_text("precious", encoding="utf-8")

    with pytest.raises(InputError, match="is there already"):
        take(world, tmp_path)
    broken = replace_database(world, tmp_path)
    with pytest.raises(StoreError, match=r"cannot be copied|damaged"):
        back_up(broken, tmp_path / "b.tar", replace=True)

    assert (tmp_path / "b.tar").read_text(encoding="utf-8") == "precious"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def replace_database(world: World, tmp_path: Path) -> Settings:
    (tmp_path / "broken.db").write_bytes(b"no database" * 1000)
    return world.settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'broken.db'}"})


def test_models_are_taken_as_asked_and_what_is_missing_is_named(
    world: World, tmp_path: Path
) -> None:
    other = world.settings.models_folder / "tiny-2"
    shutil.copytree(world.settings.models_folder / "tiny-1", other)
    world.register("tiny-2", folder=other)

    _, active = take(world, tmp_path, models="active")
    _, none = take(world, tmp_path, models="none", replace=True)
    shutil.rmtree(world.settings.models_folder / "tiny-1")
    _, rest = take(world, tmp_path, replace=True)

    assert (active.models, none.models, rest.models) == (["tiny-2"], [], ["tiny-2"])
    assert "model tiny-1: its files are not there" in rest.left_out


def test_a_model_of_the_same_name_with_other_files_is_kept_aside(
    world: World, tmp_path: Path
) -> None:
    file, _ = take(world, tmp_path)
    world.models.close()
    world.database.close()
    card = world.settings.models_folder / "tiny-1" / "config.json"
    card.write_text("{}", encoding="utf-8")

    report = restore(file, world.settings.home, force=True)

    assert len(report.kept_aside) == 2
    assert card.read_text(encoding="utf-8") != "{}"
    assert (Path(report.kept_aside[1]) / "config.json").read_text(encoding="utf-8") == "{}"


# ---------------------------------------------------------------- damage


def test_a_flipped_byte_is_found_before_anything_changes(world: World, tmp_path: Path) -> None:
    file, _ = take(world, tmp_path)
    with tarfile.open(file) as tar:
        place = tar.getmember("models/tiny-1/model.safetensors").offset_data + 5000
    with file.open("r+b") as content:
        content.seek(place)
        byte = content.read(1)[0]
        content.seek(place)
        content.write(bytes([byte ^ 1]))

    with pytest.raises(InputError, match="its SHA-256 differs"):
        restore(file, tmp_path / "new")

    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_an_archive_is_refused(world: World, tmp_path: Path, share: float) -> None:
    file, report = take(world, tmp_path)
    os.truncate(file, int(report.size_bytes * share))

    with pytest.raises(InputError, match="not a whole backup"):
        restore(file, tmp_path / "new")


def test_a_damaged_database_is_kept_aside_too(world: World, tmp_path: Path) -> None:
    file, _ = take(world, tmp_path)
    world.models.close()
    world.database.close()
    place = world.settings.home / "annotator.db"
    place.write_bytes(b"no database" * 1000)

    with pytest.raises(ConflictError, match="--force"):
        restore(file, world.settings.home)
    report = restore(file, world.settings.home, force=True)

    assert Path(report.kept_aside[0]).read_bytes().startswith(b"no database")
    database = Database(load_settings(world.settings.home).database)
    database.upgrade()
    database.close()
