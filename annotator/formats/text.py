"""Plain text: a file is a document; a folder is one document per ``*.txt`` in it."""

from __future__ import annotations

from pathlib import Path

from annotator.domain import Document
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_files, read_text

__all__ = ["read"]


def read(path: Path) -> Corpus:
    """Read plain text; the id is the file's name without suffix, line ends are kept.

    A file of only white space is skipped, and so are folders in a folder.

    Raises:
        InputError: if there is no file.
    """
    log = ReadLog()
    documents: dict[str, Document] = {}
    found = find_files(path, ".txt")
    files = [file for file in found if not path.is_dir() or file.parent == path]
    if len(files) < len(found):
        reason = f"{len(found) - len(files)} files in folders below it; give each folder by itself"
        log.skip(path.name, reason)
    for file in files:
        with log.forgive(file.name):
            text = read_text(file, log)
            if text.strip():
                log.add(Document(id=file.stem, text=text), documents, place=file.name)
            else:
                log.skip(file.name, "the file holds no text")
    return Corpus.build("text", documents.values(), log)
