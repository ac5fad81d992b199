"""Restoring a project from an archive: checked first, put in place last, the old one kept aside."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from sqlalchemy.exc import DatabaseError

from annotator.errors import ConflictError, InputError, StoreError
from annotator.services.archive.carried import carried_settings, differences
from annotator.services.archive.manifest import (
    DATABASE_FILES,
    Manifest,
    content_of,
    open_archive,
    read_manifest,
)
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

__all__ = ["RestoreReport", "restore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What was restored, what was kept aside, and what remains to be done by hand."""

    home: str
    rows: dict[str, int]
    models: list[str]
    kept_aside: list[str]
    to_do: list[str]


def restore(
    file: Path, home: Path, *, force: bool = False, with_settings: bool = False
) -> RestoreReport:
    """Restore a backup into the project folder ``home``, which is created if needed.

    A new folder gets the archive's settings but for addresses and credentials, which are taken
    only ``with_settings``; a project that is there keeps its own. What differs is reported.

    Raises:
        InputError: if the file is damaged or no backup.
        ConflictError: if a program is using the project, or one exists and ``force`` is not set.
        NewerDatabaseError: if the backup is from a newer program.
        StoreError: if the database cannot be put in place; the old one is then back in its place.
    """
    manifest = read_manifest(file)
    check_known(manifest.database.migration)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".restore-", dir=home))
    try:
        _unpack(file, manifest, staged)
        copy = staged / DATABASE_FILES[manifest.database.engine]
        if manifest.database.engine == "sqlite":  # known to be whole before anything is changed
            _make_ready(sqlite_url(copy), manifest, home / "models")
        to_do = _settings(manifest, staged, home, with_settings=with_settings)
        settings = load_settings(home)
        _check_engine(manifest, settings)
        if has_rows(settings.database):
            _check_overwriting(settings, force=force)
        mark = datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")
        kept = _models(manifest, staged, settings.models_folder, mark)
        aside = put_copy(settings.database, copy, mark=mark)
        if manifest.database.engine != "sqlite":
            _make_ready(settings.database, manifest, settings.models_folder)
        if aside is not None:
            kept.insert(0, aside)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return RestoreReport(
        home=str(home),
        rows=manifest.database.rows,
        models=manifest.models,
        kept_aside=kept,
        to_do=to_do,
    )


# ---------------------------------------------------------------- out of the archive


def _unpack(file: Path, manifest: Manifest, staged: Path) -> None:
    """Extract only what the manifest names, and compare each size and SHA-256."""
    with open_archive(file) as tar:
        for name, expected in manifest.files.items():
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if _write(content_of(tar, name, size=expected.size), target) != expected.sha256:
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


def _settings(manifest: Manifest, staged: Path, home: Path, *, with_settings: bool) -> list[str]:
    """Put the settings into a new folder; an existing project keeps its own."""
    try:
        taken, shown = carried_settings(staged)
    except InputError as error:
        if (home / CONFIG_FILE).is_file():
            return [f"the settings in {home} were left as they are", str(error)]
        raise InputError(
            f"{error}; make a project first (annotator init), and restore into it"
        ) from None
    if (home / CONFIG_FILE).is_file():
        unlike = differences({**taken, **shown}, load_settings(home))
        return [f"the settings in {home} were left as they are", *unlike]
    if (staged / LEXICON_FILE).is_file():
        (staged / LEXICON_FILE).replace(home / LEXICON_FILE)
    if with_settings:
        for name in (SECRETS_FILE, CONFIG_FILE):
            if (staged / name).is_file():
                (staged / name).replace(home / name)
    init_home(
        home,
        **{"project": manifest.project, "unit": "sentence", "encoder": "minilm", **taken},
    )
    if with_settings and manifest.with_secrets:
        return []
    hidden = [line for line in manifest.left_out if line.startswith("setting ")]
    return [
        *(f"set it again in {home / CONFIG_FILE}: {line}" for line in hidden),
        *differences(shown, load_settings(home)),
        "new credentials were made: run annotator connect with Label Studio's token",
    ]


def _check_engine(manifest: Manifest, settings: Settings) -> None:
    wanted = manifest.database.engine
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


def _models(manifest: Manifest, staged: Path, folder: Path, mark: str) -> list[str]:
    """Move the models in; an existing one with other files is kept aside."""
    kept = []
    folder.mkdir(parents=True, exist_ok=True)
    for name in manifest.models:
        place, prefix = folder / name, f"models/{name}/"
        files = {
            key.removeprefix(prefix): value.sha256
            for key, value in manifest.files.items()
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


def _make_ready(url: str, manifest: Manifest, models_folder: Path) -> None:
    found = asdict(read_facts(url))["rows"]
    if found != manifest.database.rows:
        raise InputError("the database in the backup does not hold the rows its manifest names")
    database = Database(url)
    try:
        database.upgrade()
    finally:
        database.close()
    adopt(url, models_folder)
