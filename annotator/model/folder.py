"""Folders that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["write_whole"]


@contextmanager
def write_whole(folder: Path) -> Iterator[Path]:
    """Write ``folder``: aside, flushed to disk, then renamed; replaces an older one.

    Yields:
        The folder aside, which is there and empty. Nothing of it is left if the block raises.

    Raises:
        OSError: if it cannot be written.
    """
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        aside.mkdir(parents=True)
        yield aside
        for path in [*aside.rglob("*"), aside]:
            _flush(path)
        _rename_over(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rename_over(aside: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    _flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
