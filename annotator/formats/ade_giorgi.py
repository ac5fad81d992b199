"""ADE as Giorgi et al. (2019) cut and tagged it: ``train.tsv`` in the ``bioes`` layout.

Entity types ``DRUG`` and ``AE``; one relation type ``ADE`` with **head = drug, tail = effect** (the
reverse of the ``ade`` and ``spert`` files).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from annotator.domain import Document
from annotator.formats import bioes
from annotator.formats.corpus import Corpus, ReadLog
from annotator.formats.source import find_file

__all__ = ["read"]

_ENDS = ("DRUG", "AE")


def read(path: Path) -> Corpus:
    """Read the ``.tsv`` (in a folder, ``giorgi_train.tsv`` or else ``train.tsv``).

    As the format ``bioes``, with ids ``ade-giorgi-<number>``. A relation that does not go from a
    drug to an effect is skipped. Illegal tags, and relations that point into an entity, are
    repaired as in that format.

    Raises:
        InputError: naming ``file:line`` and what was expected there.
    """
    named = path.is_dir() and (path / "giorgi_train.tsv").is_file()
    source = find_file(path, "giorgi_train.tsv" if named else "train.tsv")
    found = ReadLog()
    read_before = bioes.read_documents(source, found)
    unread = Counter({_name(number): count for number, count in found.unread.items()})
    log = replace(found, unread=unread)
    documents = [_build(document, source.name, log) for document in read_before]
    return Corpus.build("ade-giorgi", documents, log)


def _name(number: str) -> str:
    return f"ade-giorgi-{number}"


def _build(document: Document, file: str, log: ReadLog) -> Document:
    name = _name(document.id)
    types = {entity.id: entity.type for entity in document.entities}
    kept = []
    for relation in document.relations:
        ends = types[relation.head], types[relation.tail]
        if ends == _ENDS:
            kept.append(relation)
        else:
            reason = (
                f"{relation.type} goes from {ends[0]} to {ends[1]}, not from a drug to an effect"
            )
            log.of(name).lose(f"{file}: {name}", reason)
    return replace(document, id=name, relations=tuple(kept))
