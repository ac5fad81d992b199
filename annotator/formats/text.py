"""Plain text: a file is a document; a folder is one document per ``*.txt`` in it."""

from __future__ import annotations

from pathlib import Path

from annotator.domain import Document
from annotator.errors import InputError
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import read_text

__all__ = ["read"]

_BYTE_ORDER_MARK = "\ufeff"


def read(path: Path) -> Corpus:
    """Read plain UTF-8 text; the id is the file's name without suffix, line ends are kept.

    A byte order mark is removed and reported as repaired; a file of only white space is skipped.

    Raises:
        InputError: if there is no file, or one is not UTF-8 or holds null bytes; the message names
            the file and the byte.
    """
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"there is no *.txt file in {path}")
    documents: list[Document] = []
    log = ReadLog()
    for file in files:
        content = read_text(file)
        text = content.removeprefix(_BYTE_ORDER_MARK)
        if text != content:
            log.repair(file.name, "the byte order mark was taken off")
        if text.strip():
            documents.append(Document(id=file.stem, text=text))
        else:
            log.skip(file.name, "the file holds no text")
    return Corpus.build("text", documents, log)
