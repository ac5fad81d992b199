"""Files as writers make them: written aside first, moved into place only when all are complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from annotator.domain import Document
from annotator.errors import InputError

__all__ = ["OutputFolder"]

_SPLIT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class OutputFolder:
    """Collects the files of one export; a context manager.

    On leaving without an error every file is moved into place, replacing what was there; after an
    error nothing is left behind. Text is written as UTF-8, line ends unchanged.
    """

    def __init__(self, folder: Path, *, splits: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._splits = dict(splits or {})
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
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for stream in self._streams.values():
            stream.close()
        for name, part in self._written.items():
            if error is None:
                part.replace(self._folder / name)
            else:
                part.unlink(missing_ok=True)

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
            self._streams[name] = self._begin(name).open("wb")
        self._streams[name].write(_encode(text, document_id))

    def write(self, name: str, text: str, *, document_id: str) -> None:
        """Write the whole file ``name``, which may be in a subfolder.

        Raises:
            InputError: if ``text`` cannot be written as UTF-8.
        """
        self._begin(name).write_bytes(_encode(text, document_id))

    def _begin(self, name: str) -> Path:
        part = self._folder / f"{name}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        self._written[name] = part
        return part


def _encode(text: str, document_id: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"document {document_id!r} holds a lone surrogate, which UTF-8 cannot say; "
            "remove it from the text, the ids or the types"
        ) from error
