"""Files as writers make them: written aside first, moved into place only when all are complete."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from annotator.domain import Document
from annotator.errors import InputError

__all__ = ["OutputFolder", "share", "staged"]

_ASIDE = ".export.part"

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files are moved into ``folder`` at the end.

    They replace what was there. After an error nothing is left behind, and what a killed export
    left is removed. Only the owner may open what is made.
    """
    made = not folder.exists()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = folder / _ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(mode=0o700)
        yield aside
        for file in sorted(file for file in aside.rglob("*") if file.is_file()):
            target = folder / file.relative_to(aside)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if made:
            with suppress(OSError):
                folder.rmdir()  # if nothing is in it


def share(folder: Path, files: Iterable[Path]) -> None:
    """Let all accounts of the machine read ``files`` and open the folders down to them."""
    for file in files:
        file.chmod(0o644)
        for parent in file.relative_to(folder).parents:
            (folder / parent).chmod(0o755)


class OutputFolder:
    """Collects the files of one export; a context manager, staged as by ``staged``.

    Text is written as UTF-8, line ends unchanged.
    """

    def __init__(self, folder: Path, *, splits: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._splits = dict(splits or {})
        self._stack = ExitStack()
        self._streams: dict[str, BinaryIO] = {}
        self._written: dict[str, Path] = {}
        self._seen: set[str] = set()
        for name in set(self._splits.values()):
            if not _SPLIT_NAME.fullmatch(name) or name == "gold":
                raise InputError(
                    "a split name must be letters, digits, - and _, and not 'gold'; "
                    f"found one of {len(name)} characters that is not"
                )

    def __enter__(self) -> OutputFolder:
        self._aside = self._stack.enter_context(staged(self._folder))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)  # closes the files first

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of this export, in the order they were started."""
        return tuple(self._folder / name for name in self._written)

    def admit(self, document: Document) -> str | None:
        """Return the split of ``document``; None if it has none.

        Raises:
            InputError: if a document with this id was admitted before.
        """
        if document.id in self._seen:
            raise InputError(f"document id {document.id!r} occurs twice; ids must be unique")
        self._seen.add(document.id)
        return self._splits.get(document.id)

    def append(self, name: str, text: str, *, document_id: str) -> None:
        """Add ``text`` to the file ``name``, which stays open.

        Raises:
            InputError: if ``text`` cannot be written as UTF-8.
        """
        if name not in self._streams:
            self._streams[name] = self._stack.enter_context(self._begin(name))
        self._streams[name].write(_encode(text, document_id))

    def write(self, name: str, text: str, *, document_id: str) -> None:
        """Write the whole file ``name``, which may be in a subfolder.

        Raises:
            InputError: if ``text`` cannot be written as UTF-8.
        """
        with self._begin(name) as stream:
            stream.write(_encode(text, document_id))

    def _begin(self, name: str) -> BinaryIO:
        path = self._aside / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._written[name] = path
        path.touch(mode=0o600)
        return path.open("wb")


def _encode(text: str, document_id: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"document {document_id!r} holds a lone surrogate, which UTF-8 cannot say; "
            "remove it from the text, the ids or the types"
        ) from error
