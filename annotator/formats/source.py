"""Files as readers see them: found, unpacked, decoded; every error names its place.

One door for all readers. Only regular files are opened, never a pipe or a device. A folder is read
without its hidden files, and a link in it must not lead out of it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from annotator.errors import InputError
from annotator.formats.corpus import ReadLog

__all__ = [
    "find_file",
    "find_files",
    "find_groups",
    "read_bytes",
    "read_lines",
    "read_text",
    "split_named_by",
]

MAX_UNPACKED_BYTES = 512 << 20
_SPLITS = ("train", "dev", "test")
_CLUTTER = {"__macosx", "desktop.ini", "thumbs.db"}
_PACKED = b"\x1f\x8b"
_MARKS = {  # the longer first: that of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def find_file(path: Path, name: str) -> Path:
    """Return ``path`` if it is a file, or the file ``name`` inside if it is a folder.

    Case is ignored where no file has exactly that name.

    Raises:
        InputError: if there is no such file, or it is a link that leads out of the folder.
    """
    found = path
    if path.is_dir():
        inside = _entries(path, path.resolve(), (name.lower(),))
        same = [file for file in inside if file.name.lower() == name.lower()]
        found = min(same, key=lambda file: (file.name != name, file), default=path / name)
    if not found.exists():
        raise InputError(f"there is no file {found}; give a file, or a folder that holds {name}")
    return found


def find_files(path: Path, *suffixes: str) -> list[Path]:
    """Return ``path`` if it is a file, else all files below it with one of ``suffixes``, in order.

    Case is ignored. Hidden files and folders, and what systems leave in folders, are passed over.

    Raises:
        InputError: if there is none, or a link below ``path`` leads out of it.
    """
    if _is_file(path):
        return [path]
    found = sorted(_walk(path, path.resolve(), suffixes)) if path.is_dir() else []
    if not found:
        raise InputError(f"there is no file at or below {path} that ends in {', '.join(suffixes)}")
    return found


def find_groups(path: Path, *suffixes: str) -> dict[Path, dict[str, Path]]:
    """Return the files of one name: by their path without suffix, then by suffix.

    ``path`` is a folder, or one file of the only group wanted. Case of the suffix is ignored.

    Raises:
        InputError: if there is none, or two files of one name differ in the case of their suffix.
    """
    groups: dict[Path, dict[str, Path]] = {}
    wanted = None if path.is_dir() else _stem(path, suffixes)
    if not _is_file(path) and path.is_dir():
        files = find_files(path, *suffixes)
    else:
        beside = path.parent.iterdir() if path.parent.is_dir() else ()
        files = sorted(file for file in beside if _suffix(file, suffixes) and not file.is_dir())
    for file in files:
        stem, suffix = _stem(file, suffixes), _suffix(file, suffixes)
        if wanted is not None and stem != wanted:
            continue
        if groups.setdefault(stem, {}).setdefault(suffix, file) != file:
            raise InputError(f"{file}: a file beside it has the same name but for capitals")
    if not groups:
        raise InputError(f"there is no file {path}")
    return groups


def _suffix(file: Path, suffixes: tuple[str, ...]) -> str:
    return next((suffix for suffix in suffixes if file.name.lower().endswith(suffix)), "")


def _stem(file: Path, suffixes: tuple[str, ...]) -> Path:
    ending = _suffix(file, suffixes) or file.suffix
    return file.with_name(file.name[: len(file.name) - len(ending)] or file.name)


def _walk(folder: Path, root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for file in _entries(folder, root, suffixes):
        if not file.is_dir():
            yield file
        elif not file.is_symlink():  # else its files are met at their own place
            yield from _walk(file, root, suffixes)


def _entries(folder: Path, root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the folders of a folder, and its files of those suffixes."""
    try:
        found = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from error
    for file in found:
        name = file.name.lower()
        if name.startswith(".") or name in _CLUTTER:
            continue
        if not file.is_dir() and not name.endswith(suffixes):
            continue
        if file.is_symlink() and not file.resolve().is_relative_to(root):
            raise InputError(
                f"{file} is a link that leads out of the folder given; put the files themselves "
                "there, or give a folder that holds both"
            )
        yield file


def split_named_by(file: Path, *, root: Path) -> str | None:
    """Return ``train``, ``dev`` or ``test`` if a folder from ``root`` to ``file`` has that name.

    ``root`` counts as well: it may be the folder of one split. The innermost folder wins.
    """
    folders = [*reversed(file.parent.relative_to(root).parts), root.resolve().name]
    return next((name for name in folders if name in _SPLITS), None)


def read_lines(path: Path, log: ReadLog) -> Iterator[tuple[int, str]]:
    r"""Yield line numbers from 1 and lines without their end (``\n`` or ``\r\n``).

    Decoded and unpacked as by ``read_text``. Only ``\n`` ends a line: the other line separators of
    Unicode may occur inside one. A line that is not UTF-8 is noted as lost.

    Raises:
        InputError: if the file is absent, damaged, or in another encoding.
    """
    with _open(path) as stream:
        encoding, mark = _encoding(path, stream, log)
        if encoding == "utf-8":
            lines = _decoded_lines(path, stream, mark, log)
        else:
            lines = enumerate(_decode(path, stream.read(), encoding, mark).split("\n"), start=1)
        for number, line in lines:
            yield number, line.removesuffix("\n").removesuffix("\r")


def _decoded_lines(
    path: Path, stream: BinaryIO, mark: bytes, log: ReadLog
) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(stream, start=1):
        try:
            yield number, (raw.removeprefix(mark) if number == 1 else raw).decode("utf-8")
        except UnicodeDecodeError as error:
            reason = f"byte {error.start} of the line is not UTF-8; convert the file to UTF-8"
            log.lose(f"{path.name}:{number}", reason)


def read_text(path: Path, log: ReadLog) -> str:
    """Return the whole file, line ends included.

    It is UTF-8, or what its byte order mark says, which is taken off. What is packed by gzip is
    unpacked, up to 512 MiB.

    Raises:
        InputError: if the file is absent, damaged, in another encoding, or holds null bytes.
    """
    with _open(path) as stream:
        encoding, mark = _encoding(path, stream, log)
        raw = stream.read()
    null = raw.find(b"\0") if encoding == "utf-8" else -1
    if null >= 0:
        raise InputError(f"{path.name}: null byte at byte {null}; this is not a UTF-8 text file")
    return _decode(path, raw, encoding, mark)


def read_bytes(path: Path) -> bytes:
    """Return the whole file as it is, unpacked.

    Raises:
        InputError: if it is absent or damaged.
    """
    with _open(path) as stream:
        return stream.read()


def _decode(path: Path, raw: bytes, encoding: str, mark: bytes) -> str:
    try:
        return raw.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError as error:
        byte = error.start + len(mark)
        name = encoding.upper()
        raise InputError(
            f"{path.name}: byte {byte} is not {name}; convert the file to UTF-8"
        ) from error


def _encoding(path: Path, stream: io.BufferedReader, log: ReadLog) -> tuple[str, bytes]:
    """Return the encoding of a file and its byte order mark, which is noted."""
    head = stream.peek(64)[:64]
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            reason = "the byte order mark was taken off"
            if encoding != "utf-8":
                reason = f"it was read as {encoding.upper()}, as its byte order mark says"
            log.repair(path.name, reason)
            return encoding, mark
    if len(head) >= 4 and not (any(head[::2]) and any(head[1::2])):
        raise InputError(
            f"{path.name}: this seems to be UTF-16 without a byte order mark; convert the file to "
            "UTF-8"
        )
    return "utf-8", b""


def _is_file(path: Path) -> bool:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is no file but a pipe or a device; give a file")
    return path.is_file()


@contextmanager
def _open(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file, unpacked if it is packed.

    Raises:
        InputError: if it is absent, no regular file, damaged, or too large unpacked; also while it
            is read.
    """
    _is_file(path)
    try:
        with path.open("rb") as stream:
            if not stream.peek(2).startswith(_PACKED):
                yield stream
                return
            with gzip.GzipFile(fileobj=stream) as packed:
                yield io.BufferedReader(_Bounded(packed, path.name))
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {path}: {error}") from error


class _Bounded(io.RawIOBase):
    """A packed file as it is unpacked, up to a bound: a small one may hold more than memory."""

    def __init__(self, packed: gzip.GzipFile, name: str) -> None:
        self._packed = packed
        self._name = name
        self._left = MAX_UNPACKED_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._packed.read1(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise InputError(
                f"{self._name}: unpacked it is larger than {MAX_UNPACKED_BYTES >> 20} MiB; if "
                "that is right, unpack it yourself and give the unpacked file"
            )
        buffer[: len(data)] = data
        return len(data)
