"""Folders that are written completely or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["move_whole", "write_whole"]


@contextmanager
def write_whole(folder: Path) -> Iterator[Path]:
    """Write ``folder``: aside, flushed to disk, then renamed; replaces an older one.

    Yields:
        The temporary folder, which exists and is empty. Nothing of it is left if the block raises.

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


def move_whole(folder: Path, place: Path) -> None:
    """Rename ``folder`` to ``place`` durably: all of it is on disk when this returns.

    If an earlier call did this or was interrupted, durability is still ensured.

    Raises:
        OSError: if it cannot be moved.
    """
    found = place if place.exists() else folder
    for path in [*found.rglob("*"), found]:
        _flush(path)
    if found is not place:
        folder.rename(place)
    _flush(place.parent)
    _flush(place.parent.parent)  # the parent folder may be new as well


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
