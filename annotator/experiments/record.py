"""Files of finished runs: written aside and renamed, checked when read."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from annotator.errors import ConflictError

__all__ = ["hold_folder", "load_run", "save_run", "write_atomically"]


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other experiments out of ``folder``; released when the process ends.

    Raises:
        ConflictError: if another one is running there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConflictError(
                f"another experiment is at work in {folder}: wait for it, or give another --out"
            ) from error
        yield


def write_atomically(path: Path, text: str) -> None:
    """Write ``path`` so that after a crash it is the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def save_run(path: Path, result: dict[str, Any]) -> None:
    """Write the result of a run with a checksum."""
    value = {"sha256": _checksum(result), "run": result}
    write_atomically(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def load_run(path: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """Read what ``save_run`` wrote; None if it is absent, damaged, or of another run."""
    try:
        value = json.loads(path.read_bytes())
        result: dict[str, Any] = value["run"]
        whole = value["sha256"] == _checksum(result) and result["fingerprint"] == fingerprint
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    return result if whole else None


def _checksum(result: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()
