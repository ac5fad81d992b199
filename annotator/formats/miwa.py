"""ACE and others as Miwa & Bansal (2016) prepare them: brat-like files, one sentence per line.

``X.split.txt`` holds one tokenised sentence per line, ``X.split.ann`` its labels; ``X.txt`` and
``X.ann`` are the same before splitting. Ids are those of the corpus prefixed with ``T`` or ``R``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from annotator.domain import Document
from annotator.errors import InputError
from annotator.formats.brat_ann import read_labels
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_files, read_text, split_named_by
from annotator.formats.words import segment_lines

__all__ = ["read"]


def read(path: Path) -> Corpus:
    """Read one document (given as any of its files), or all in and below a folder (``corpus/``).

    The split pair is preferred, with each line a sentence and the tokens kept in ``meta``. Where it
    is incomplete, the other pair is read and split by our own rules, noted as repaired. The id is
    ``X``; ``meta["split"]`` is train, dev or test where a folder is so named.

    Raises:
        InputError: naming ``file:line``, if a line of labels is malformed; if there is no file of
            labels, or two documents have the same name.
    """
    root = path if path.is_dir() else path.parent
    if path.is_dir():
        stems = dict.fromkeys(_stem(file) for file in find_files(path, ".ann", ".txt"))
    else:
        find_files(path, ".ann")
        stems = dict.fromkeys([_stem(path)])
    log = ReadLog()
    documents: dict[str, Document] = {}
    for stem in stems:
        if stem.name in documents:
            raise InputError(
                f"{stem.relative_to(root)}: another document below this folder is named so too; "
                "read one folder at a time"
            )
        document = _read_document(stem, root, log)
        if document is not None:
            documents[document.id] = document
    return Corpus.build("miwa", documents.values(), log)


def _stem(file: Path) -> Path:
    """Return the path prefix that all files of one document share."""
    return file.with_name(file.name.removesuffix(file.suffix).removesuffix(".split"))


def _read_document(stem: Path, root: Path, log: ReadLog) -> Document | None:
    pairs = [
        (stem.with_name(f"{stem.name}{middle}.txt"), stem.with_name(f"{stem.name}{middle}.ann"))
        for middle in (".split", "")
    ]
    whole = [pair for pair in pairs if pair[0].is_file() and pair[1].is_file()]
    if not whole:
        log.skip(stem.name, "there is no whole pair of .txt and .ann")
        return None
    text_file, source = whole[0]
    text = read_text(text_file)
    entities, relations = read_labels(source, text, log.of(stem.name))
    meta: dict[str, Any] = {}
    if text_file == pairs[0][0]:
        meta |= segment_lines(text)
    else:
        log.repair(stem.name, "there is no whole .split pair; sentences and tokens are our own")
    split = split_named_by(source, root=root)
    if split is not None:
        meta["split"] = split
    return Document(id=stem.name, text=text, entities=entities, relations=relations, meta=meta)
