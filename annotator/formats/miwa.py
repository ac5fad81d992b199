"""ACE and others as Miwa & Bansal (2016) prepare them: brat-like files, one sentence per line.

``X.split.txt`` holds one tokenised sentence per line, ``X.split.ann`` its labels; ``X.txt`` and
``X.ann`` are the same before splitting. Ids are those of the corpus prefixed with ``T`` or ``R``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.domain import Document
from annotator.errors import InputError
from annotator.formats.brat_ann import read_labels
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_groups, read_text, split_named_by
from annotator.formats.words import segment_lines

__all__ = ["read"]

_PAIRS = ((".split.txt", ".split.ann"), (".txt", ".ann"))


def read(path: Path) -> Corpus:
    """Read one document (given as any of its files), or all in and below a folder (``corpus/``).

    The split pair is preferred, with each line a sentence and the tokens kept in ``meta``. Where it
    is incomplete, the other pair is read and split by our own rules, noted as repaired. The id is
    ``X``; ``meta["split"]`` is train, dev or test where a folder is so named.

    Raises:
        InputError: if there is no such file, or two documents have the same name.
    """
    root = path if path.is_dir() else path.parent
    log = ReadLog()
    documents: dict[str, Document] = {}
    for stem, files in find_groups(path, *_PAIRS[0], *_PAIRS[1]).items():
        if stem.name in documents:
            raise InputError(
                f"{stem.relative_to(root)}: another document below this folder is named so too; "
                "read one folder at a time"
            )
        with log.forgive(stem.name):
            document = _read_document(stem, files, root, log)
            if document is not None:
                documents[document.id] = document
    return Corpus.build("miwa", documents.values(), log)


def _read_document(
    stem: Path, files: Mapping[str, Path], root: Path, log: ReadLog
) -> Document | None:
    pair = next((pair for pair in _PAIRS if files.keys() >= set(pair)), None)
    if pair is None:
        log.lose(stem.name, "there is no whole pair of .txt and .ann")
        return None
    text_file, source = (files[suffix] for suffix in pair)
    text = read_text(text_file, log)
    entities, relations = read_labels(source, text, log.of(stem.name))
    meta: dict[str, Any] = {}
    if pair == _PAIRS[0]:
        meta |= segment_lines(text)
    else:
        log.repair(stem.name, "there is no whole .split pair; sentences and tokens are our own")
    split = split_named_by(source, root=root)
    if split is not None:
        meta["split"] = split
    return Document(id=stem.name, text=text, entities=entities, relations=relations, meta=meta)
