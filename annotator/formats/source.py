"""Files as readers see them: found, decompressed, decoded; every error names its place."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from annotator.errors import InputError

__all__ = ["find_file", "find_files", "read_lines", "read_text", "split_named_by"]

_SPLITS = ("train", "dev", "test")


def find_file(path: Path, name: str) -> Path:
    """Return ``path`` if it is a file, or the file ``name`` inside if it is a folder.

    Raises:
        InputError: if there is no such file.
    """
    found = path / name if path.is_dir() else path
    if not found.is_file():
        raise InputError(f"there is no file {found}; give a file, or a folder that holds {name}")
    return found


def find_files(path: Path, *suffixes: str) -> list[Path]:
    """Return ``path`` if it is a file, else all files below it with one of ``suffixes``, in order.

    Case is ignored. Hidden files and folders are skipped.

    Raises:
        InputError: if there is none.
    """
    if path.is_file():
        return [path]
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.name.lower().endswith(suffixes)
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not found:
        raise InputError(f"there is no file at or below {path} that ends in {', '.join(suffixes)}")
    return found


def split_named_by(file: Path, *, root: Path) -> str | None:
    """Return ``train``, ``dev`` or ``test`` if a folder from ``root`` to ``file`` has that name.

    ``root`` counts as well: it may be the folder of one split. The innermost folder wins.
    """
    folders = [*reversed(file.parent.relative_to(root).parts), root.resolve().name]
    return next((name for name in folders if name in _SPLITS), None)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield line numbers from 1 and lines without their end (``\n`` or ``\r\n``).

    A ``*.gz`` file is decompressed. Only ``\n`` ends a line: the other line separators of Unicode
    may occur inside one.

    Raises:
        InputError: if the file is absent, damaged, or not UTF-8.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path.name}:{number}: byte {error.start} of the line is not UTF-8; "
                        "convert the file to UTF-8"
                    ) from error
                yield number, line.removesuffix("\n").removesuffix("\r")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def read_text(path: Path) -> str:
    """Return the whole file, line ends included; a ``*.gz`` file is decompressed.

    Raises:
        InputError: if the file is absent, damaged, not UTF-8, or holds null bytes.
    """
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    null = raw.find(b"\0")
    if null >= 0:
        raise InputError(f"{path.name}: null byte at byte {null}; this is not a UTF-8 text file")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path.name}: byte {error.start} is not UTF-8; convert the file to UTF-8"
        ) from error
