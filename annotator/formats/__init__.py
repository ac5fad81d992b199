"""Corpus formats: one module a format, each reads, writes, or both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from annotator.errors import InputError
from annotator.lazy import load_when_asked

if TYPE_CHECKING:
    from annotator.domain import Document
    from annotator.formats.corpus import (
        Corpus,
        Reader,
        ReadReport,
        SkippedItem,
        Writer,
        WriteReport,
    )
    from annotator.formats.jsonl import document_from_json, document_to_json
    from annotator.formats.manifest import write_manifest
    from annotator.formats.output import share, staged

__all__ = [
    "READERS",
    "WRITERS",
    "Corpus",
    "ReadReport",
    "Reader",
    "SkippedItem",
    "WriteReport",
    "Writer",
    "document_from_json",
    "document_to_json",
    "read_corpus",
    "share",
    "staged",
    "write_corpus",
    "write_manifest",
]

__getattr__ = load_when_asked(
    __name__,
    corpus="Corpus ReadReport Reader SkippedItem WriteReport Writer",
    jsonl="document_from_json document_to_json",
    manifest="write_manifest",
    output="share staged",
)

_Part = TypeVar("_Part")
_SHOWN = 5  # faults in one message


class _Parts(Mapping[str, _Part]):
    """One function per format, by the format's name; the module is imported on first use.

    Args:
        function: What the function is called in every module.
        names: Formats whose module is named after them.
        modules: Module by format, for the others.
    """

    def __init__(self, function: str, *names: str, **modules: str) -> None:
        self._function = function
        self._modules = {name: name.replace("-", "_") for name in names} | modules

    def __getitem__(self, name: str) -> _Part:
        module = import_module(f"{__name__}.{self._modules[name]}")
        return cast(_Part, getattr(module, self._function))

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._modules))

    def __len__(self) -> int:
        return len(self._modules)


#: Readers by the name of their format.
READERS: Mapping[str, Reader] = _Parts(
    "read",
    *("ace", "ade", "ade-giorgi", "bioc", "bioes", "brat", "conll04", "conll04-corp", "i2b2"),
    *("jsonl", "miwa", "pubtator", "spert", "text"),
    csv="table",
)

#: Writers by the name of their format.
WRITERS: Mapping[str, Writer] = _Parts("write", "bioes", "brat", "jsonl")


def read_corpus(name: str, path: Path, *, strict: bool = False) -> Corpus:
    """Read the file or folder ``path`` in the format ``name``.

    What cannot be read is left out and stands in the report; with ``strict`` it is refused.

    Raises:
        InputError: if there is no reader of that name (the message lists them), the file is not in
            that format or holds no document, or something could not be read and ``strict`` is set.
    """
    if name not in READERS:
        raise InputError(f"no reader for format {name!r}; there are {', '.join(READERS)}")
    corpus = READERS[name](path)
    faults = [item for item in corpus.report.skipped if item.unreadable]
    if faults and (strict or not corpus.documents):
        shown = [f"{item.place}: {item.reason}" for item in faults[: _SHOWN if strict else 1]]
        more = [f"and {len(faults) - len(shown)} more"] if len(faults) > len(shown) else []
        raise InputError("; ".join(shown + more))
    if not corpus.documents:
        raise InputError(f"{path} holds no document; expected some in the format {name}")
    return corpus


def write_corpus(
    name: str,
    documents: Iterable[Document],
    out: Path,
    *,
    splits: Mapping[str, str] | None = None,
) -> WriteReport:
    """Write ``documents`` into the folder ``out`` in the format ``name``.

    ``splits`` maps document ids to split names; each format keeps the whole export together and
    adds what it needs to tell the splits apart.

    Raises:
        InputError: if there is no writer of that name (the message lists them), or something
            cannot be written.
    """
    if name not in WRITERS:
        raise InputError(f"no writer for format {name!r}; there are {', '.join(WRITERS)}")
    return WRITERS[name](documents, out, splits=splits)
