"""Restoring a project from an archive: checked first, put in place last, the old one kept aside."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy.exc import DatabaseError

from annotator.errors import ConflictError, InputError, StoreError
from annotator.services.archive.backup import DATABASE_FILES, FORMAT, MANIFEST
from annotator.settings import (
    CONFIG_FILE,
    LEXICON_FILE,
    SECRETS_FILE,
    Settings,
    init_home,
    load_settings,
)
from annotator.store.database import Database, check_known
from annotator.store.dump import adopt, has_rows, put_copy, read_facts, sqlite_url
from annotator.store.leases import WORKER_LEASE, holders

__all__ = ["RestoreReport", "read_manifest", "restore"]

_PLACES = re.compile(
    r"database\.(sqlite|dump)|(annotator|secrets)\.toml|lexicon\.tsv"
    r"|models/(?!\.)[^/]+(/(?!\.\.?/)[^/]+)+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What was restored, what was kept aside, and what remains to be done by hand."""

    home: str
    rows: dict[str, int]
    models: list[str]
    kept_aside: list[str]
    to_do: list[str]


def read_manifest(file: Path) -> dict[str, Any]:
    """Return the manifest of an archive.

    Raises:
        InputError: if the file is no backup, or one of a later format.
    """
    try:
        with tarfile.open(file, "r:") as tar:
            manifest: dict[str, Any] = json.load(_content(tar, MANIFEST))
            version = manifest["format"]
    except (tarfile.TarError, KeyError, ValueError, EOFError) as error:
        raise InputError(
            f"{file} is not a whole backup ({type(error).__name__}); make one with annotator db "
            "backup, or take another"
        ) from error
    if version != FORMAT:
        raise InputError(
            f"{file} is a backup of format {version}, this program reads {FORMAT}; install the "
            f"annotator that wrote it ({manifest.get('program')}) or a later one"
        )
    return manifest


def restore(file: Path, home: Path, *, force: bool = False) -> RestoreReport:
    """Restore a backup into the project folder ``home``, which is created if needed.

    Raises:
        InputError: if the file is damaged or no backup.
        ConflictError: if a program is using the project, or one exists and ``force`` is not set.
        NewerDatabaseError: if the backup is from a newer program.
        StoreError: if the database cannot be put in place; the old one is then back in its place.
    """
    manifest = read_manifest(file)
    check_known(manifest["database"]["migration"])
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".restore-", dir=home))
    try:
        _unpack(file, manifest, staged)
        to_do = _settings(manifest, staged, home)
        settings = load_settings(home)
        _check_engine(manifest, settings)
        if has_rows(settings.database):
            _check_overwriting(settings, force=force)
        mark = datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")
        kept = _models(manifest, staged, settings.models_folder, mark)
        aside = _database(manifest, staged, settings, mark)
        if aside is not None:
            kept.insert(0, aside)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return RestoreReport(
        home=str(home),
        rows=manifest["database"]["rows"],
        models=manifest["models"],
        kept_aside=kept,
        to_do=to_do,
    )


# ---------------------------------------------------------------- out of the archive


def _content(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(tar.getmember(name))
    if found is None:
        raise KeyError(name)
    return found


def _unpack(file: Path, manifest: dict[str, Any], staged: Path) -> None:
    """Extract only what the manifest names, and compare each SHA-256."""
    with tarfile.open(file, "r:") as tar:
        for name, expected in manifest["files"].items():
            if _PLACES.fullmatch(name) is None:
                raise InputError(f"{file} holds {name}, which has no place in a backup")
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                sha256 = _write(_content(tar, name), target)
            except (KeyError, tarfile.TarError) as error:
                raise InputError(f"{file}: {name} is missing or cut off") from error
            if sha256 != expected["sha256"]:
                raise InputError(
                    f"{file}: {name} is not what was written (its SHA-256 differs): the archive is "
                    "damaged, take another"
                )


def _write(content: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while part := content.read(1 << 20):
            digest.update(part)
            out.write(part)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


# ---------------------------------------------------------------- into the folder


def _settings(manifest: dict[str, Any], staged: Path, home: Path) -> list[str]:
    """Put the settings into a new folder; an existing project keeps its own."""
    if (home / CONFIG_FILE).is_file():
        return [f"the settings in {home} were left as they are"]
    for name in (SECRETS_FILE, CONFIG_FILE, LEXICON_FILE):
        if (staged / name).is_file():
            (staged / name).replace(home / name)
    (home / CONFIG_FILE).chmod(0o644)
    init_home(home, project=manifest["project"], unit="sentence", encoder="minilm")  # credentials
    if manifest["with_secrets"]:
        return []
    hidden = [line for line in manifest["left_out"] if line.startswith("setting ")]
    return [
        *(f"set it again in {home / CONFIG_FILE}: {line}" for line in hidden),
        "new credentials were made: run annotator connect with Label Studio's token",
    ]


def _check_engine(manifest: dict[str, Any], settings: Settings) -> None:
    wanted = manifest["database"]["engine"]
    there = "sqlite" if settings.database.startswith("sqlite") else "postgresql"
    if wanted != there:
        raise InputError(
            f"the backup is of a {wanted} database, and the settings in {settings.home} name a "
            f"{there} one: set database_url there, or ANNOTATOR_DATABASE_URL, and run it again"
        )


def _check_overwriting(settings: Settings, *, force: bool) -> None:
    database = Database(settings.database)
    try:
        with database.read() as session:
            workers = holders(session, WORKER_LEASE)
    except (StoreError, DatabaseError):  # whatever is wrong with it, it is to be replaced
        workers = []
    finally:
        database.close()
    if workers:
        raise ConflictError(
            f"{len(workers)} worker(s) gave a sign of life less than 20 s ago "
            f"({', '.join(workers)}): stop annotator worker and annotator serve, and try again"
        )
    if not force:
        raise ConflictError(
            f"there is a project in the database of {settings.home}; --force puts the backup in "
            "its place and keeps it aside"
        )


def _models(manifest: dict[str, Any], staged: Path, folder: Path, mark: str) -> list[str]:
    """Move the models in; an existing one with other files is kept aside."""
    kept = []
    folder.mkdir(parents=True, exist_ok=True)
    for name in manifest["models"]:
        place, prefix = folder / name, f"models/{name}/"
        files = {
            key.removeprefix(prefix): value["sha256"]
            for key, value in manifest["files"].items()
            if key.startswith(prefix)
        }
        if place.exists():
            if all(_has(place / key, sha256) for key, sha256 in files.items()):
                continue
            aside = folder / f".{name}.before_restore_{mark}"
            place.rename(aside)
            kept.append(str(aside))
        (staged / "models" / name).rename(place)
    return kept


def _has(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _database(manifest: dict[str, Any], staged: Path, settings: Settings, mark: str) -> str | None:
    engine = manifest["database"]["engine"]
    copy = staged / DATABASE_FILES[engine]
    url = settings.database
    if engine == "sqlite":  # prepared before it is put in place
        _make_ready(sqlite_url(copy), manifest, settings)
        return put_copy(url, copy, mark=mark)
    aside = put_copy(url, copy, mark=mark)
    _make_ready(url, manifest, settings)
    return aside


def _make_ready(url: str, manifest: dict[str, Any], settings: Settings) -> None:
    found = asdict(read_facts(url))["rows"]
    if found != manifest["database"]["rows"]:
        raise InputError("the database in the backup does not hold the rows its manifest names")
    database = Database(url)
    try:
        database.upgrade()
    finally:
        database.close()
    adopt(url, settings.models_folder)
