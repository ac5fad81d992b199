"""Corpus formats: one module a format, each reads, writes, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from annotator.domain import Document
from annotator.errors import InputError
from annotator.formats import (
    ace,
    ade,
    ade_giorgi,
    bioc,
    bioes,
    brat,
    conll04,
    conll04_corp,
    i2b2,
    jsonl,
    miwa,
    pubtator,
    spert,
    table,
    text,
)
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
    "write_corpus",
    "write_manifest",
]

#: Readers by the name of their format.
READERS: Mapping[str, Reader] = MappingProxyType(
    {
        "ace": ace.read,
        "ade": ade.read,
        "ade-giorgi": ade_giorgi.read,
        "bioc": bioc.read,
        "bioes": bioes.read,
        "brat": brat.read,
        "conll04": conll04.read,
        "conll04-corp": conll04_corp.read,
        "csv": table.read,
        "i2b2": i2b2.read,
        "jsonl": jsonl.read,
        "miwa": miwa.read,
        "pubtator": pubtator.read,
        "spert": spert.read,
        "text": text.read,
    }
)

#: Writers by the name of their format.
WRITERS: Mapping[str, Writer] = MappingProxyType(
    {"bioes": bioes.write, "brat": brat.write, "jsonl": jsonl.write}
)


def read_corpus(name: str, path: Path) -> Corpus:
    """Read the file or folder ``path`` in the format ``name``.

    Raises:
        InputError: if there is no reader of that name (the message lists them), or the file is
            not in that format.
    """
    if name not in READERS:
        raise InputError(f"no reader for format {name!r}; there are {', '.join(READERS)}")
    return READERS[name](path)


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
