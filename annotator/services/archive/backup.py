"""Backup of a whole project into one archive.

The archive is a tar: the database as of one moment, the models it names, ``annotator.toml`` and,
last, ``manifest.json`` with the SHA-256 of each. Credentials are left out unless asked for.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import tarfile
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import SecretStr

from annotator import __version__
from annotator.errors import InputError
from annotator.services.archive.manifest import DATABASE_FILES, FORMAT, MANIFEST
from annotator.settings import CONFIG_FILE, LEXICON_FILE, SECRETS_FILE, Settings
from annotator.store.dump import DatabaseFacts, copy_database

__all__ = ["BackupReport", "back_up"]

_WEIGHTS = "model.safetensors"

Models = Literal["all", "active", "none"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """Contents of an archive; ``left_out`` names what is missing, with the reason."""

    file: str
    size_bytes: int
    facts: DatabaseFacts
    models: list[str]
    left_out: list[str]
    with_secrets: bool


@dataclass
class _Archive:
    """A tar being written, with the entries of its manifest."""

    tar: tarfile.TarFile
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, name: str, content: IO[bytes], size: int) -> str:
        """Add a file and return its SHA-256."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        info.mtime = int(datetime.now(UTC).timestamp())
        reader = _Hashing(content)
        self.tar.addfile(info, reader)
        sha256 = reader.digest.hexdigest()
        self.files[name] = {"sha256": sha256, "size": size}
        return sha256

    def add_path(self, name: str, path: Path) -> str:
        """Add a file from disk."""
        with path.open("rb") as content:
            return self.add(name, content, os.fstat(content.fileno()).st_size)

    def add_text(self, name: str, text: str) -> None:
        """Add a text as a file."""
        packed = text.encode()
        self.add(name, io.BytesIO(packed), len(packed))


class _Hashing:
    def __init__(self, content: IO[bytes]) -> None:
        self._content = content
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        part = self._content.read(size)
        self.digest.update(part)
        return part


def back_up(
    settings: Settings,
    file: Path,
    *,
    models: Models = "all",
    with_secrets: bool = False,
    replace: bool = False,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> BackupReport:
    """Write an archive of a project; its programs may keep running.

    The file appears whole, checked and flushed, or not at all; only its owner may read it.
    ``on_progress`` receives the current step, the amount done and the total.

    Raises:
        InputError: if the file exists and ``replace`` is not set.
        StoreError: if the database cannot be copied.
    """
    if file.exists() and not replace:
        raise InputError(f"{file} is there already; give another name, or --force to replace it")
    with _aside(file) as folder:
        copy, made = folder / "copy", folder / "archive"
        facts = copy_database(
            settings.database, copy, on_progress=lambda done, of: on_progress("database", done, of)
        )
        with _archive_at(made) as archive:
            archive.add_path(DATABASE_FILES[facts.engine], copy)
            copy.unlink()
            _add_models(archive, facts, models, on_progress)
            _add_settings(archive, settings, with_secrets=with_secrets)
            manifest = _manifest(archive, settings, facts, with_secrets=with_secrets)
            archive.add_text(MANIFEST, json.dumps(manifest, indent=1) + "\n")
        size = made.stat().st_size
        made.replace(file)
    _flush_folder(file.parent)
    return BackupReport(
        file=str(file),
        size_bytes=size,
        facts=facts,
        models=archive.models,
        left_out=archive.left_out,
        with_secrets=with_secrets,
    )


@contextmanager
def _archive_at(path: Path) -> Iterator[_Archive]:
    """Open an archive that only its owner may read; it is on disk when the block ends."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
            yield _Archive(tar)
        out.flush()
        os.fsync(out.fileno())


@contextmanager
def _aside(file: Path) -> Iterator[Path]:
    """Make a private folder beside a file, and remove it when the block ends."""
    folder = Path(tempfile.mkdtemp(prefix=f".{file.name}.", dir=file.absolute().parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _manifest(
    archive: _Archive, settings: Settings, facts: DatabaseFacts, *, with_secrets: bool
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "id": secrets.token_hex(8),
        "program": __version__,
        "created_at": datetime.now(UTC).isoformat(),
        "project": settings.project,
        "database": asdict(facts),
        "models": archive.models,
        "left_out": archive.left_out,
        "with_secrets": with_secrets,
        "files": dict(archive.files),
    }


def _add_models(
    archive: _Archive, facts: DatabaseFacts, models: Models, on_progress: Progress
) -> None:
    # The database was copied first, and a version's files never change: they match.
    for i, version in enumerate(facts.versions):
        name, folder = version["name"], Path(version["folder"])
        on_progress("models", i, len(facts.versions))
        if models == "none" or (models == "active" and version["state"] != "active"):
            archive.left_out.append(f"model {name}: not asked for")
            continue
        if not (folder / _WEIGHTS).is_file():
            archive.left_out.append(f"model {name}: its files are not there")
            continue
        found = {
            path.relative_to(folder).as_posix(): archive.add_path(
                f"models/{name}/{path.relative_to(folder).as_posix()}", path
            )
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        archive.models.append(name)
        if found[_WEIGHTS] != version["sha256"]:
            archive.left_out.append(f"model {name}: taken along, but its weights are damaged")


def _add_settings(archive: _Archive, settings: Settings, *, with_secrets: bool) -> None:
    content = (settings.home / CONFIG_FILE).read_text(encoding="utf-8")
    if not with_secrets:
        content, hidden = _without_secrets(content)
        archive.left_out += [f"setting {key}: it holds a secret" for key in hidden]
    archive.add_text(CONFIG_FILE, content)
    if (settings.home / LEXICON_FILE).is_file():
        archive.add_path(LEXICON_FILE, settings.home / LEXICON_FILE)
    secret_file = settings.home / SECRETS_FILE
    if not secret_file.is_file():
        return
    if with_secrets:
        archive.add_path(SECRETS_FILE, secret_file)
    else:
        archive.left_out.append(f"{SECRETS_FILE}: credentials, taken with --with-secrets")


def _without_secrets(content: str) -> tuple[str, list[str]]:
    """Remove passwords and tokens from ``annotator.toml``; each setting is on one line."""
    secret = {
        key
        for key, value in tomllib.loads(content).items()
        if Settings.model_fields[key].annotation is SecretStr
        or (isinstance(value, str) and re.search(r"://[^/@\s]*:[^/@\s]*@|password=", value))
    }
    lines = []
    for line in content.splitlines():
        key = line.partition("=")[0].strip().strip("\"'")
        if line.lstrip().startswith("#") and re.search(r"://[^/@\s]*:[^/@\s]*@", line):
            continue
        lines.append(f"# {key} was left out of the backup" if key in secret else line)
    return "\n".join(lines) + "\n", sorted(secret)
