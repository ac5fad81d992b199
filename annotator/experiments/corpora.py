"""Corpora as sentences of words, and the labels that words cannot express."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from annotator.domain import Document, Entity, LabelSchema, TaggedSentence
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document

__all__ = ["Part", "align", "learn_schema", "pin_sentence", "read_fold_table", "read_part"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Sentences in source order, without those that have no words.

    Attributes:
        splits: Per sentence, ``meta["split"]`` of its document; "" if it has none.
        left_out: Number of labels that sentences of words cannot express, by kind;
            ``skipped_on_reading`` counts what the reader could not use.
    """

    sentences: tuple[TaggedSentence, ...]
    splits: tuple[str, ...]
    left_out: Counter[str] = field(default_factory=Counter)


def read_part(name: str, path: Path) -> Part:
    """Read the file or folder ``path`` in the format ``name`` and split it into sentences.

    Raises:
        InputError: if it cannot be read or has no sentence.
    """
    part = align(read_corpus(name, path))
    if not part.sentences:
        raise InputError(f"{path} holds no sentence; give a file with text")
    return part


def align(corpus: Corpus) -> Part:
    """Split the documents of ``corpus`` into sentences of words."""
    sentences: list[TaggedSentence] = []
    splits: list[str] = []
    left_out = Counter(skipped_on_reading=len(corpus.report.skipped))
    for document in corpus.documents:
        alignment = align_document(document)
        found = [sentence for sentence in alignment.sentences if sentence.words]
        sentences += found
        splits += [str(document.meta.get("split") or "")] * len(found)
        left_out.update(issue.kind for issue in alignment.issues)
    return Part(sentences=tuple(sentences), splits=tuple(splits), left_out=+left_out)


def pin_sentence(document: Document) -> Document:
    """Make the whole text one sentence, and strip white space from the ends of mentions."""
    meta = {**document.meta, "sentences": [[0, len(document.text)]]}
    entities = tuple(_trim(entity, document.text) for entity in document.entities)
    return replace(document, entities=entities, meta=meta)


def _trim(entity: Entity, text: str) -> Entity:
    mention = text[entity.start : entity.end]
    if not mention.strip():
        return entity
    start = entity.start + len(mention) - len(mention.lstrip())
    return replace(entity, start=start, end=start + len(mention.strip()))


def read_fold_table(path: Path) -> dict[str, int]:
    """Read a table with the columns ``orig_id`` and ``fold``; return the test fold of each id.

    Raises:
        InputError: naming ``file:line``, if the table or one of its columns is not as expected.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"cannot read the folds in {path} ({type(error).__name__}): expected a table with the "
            "columns orig_id and fold"
        ) from error
    folds: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        identifier, fold = row.get("orig_id"), row.get("fold") or ""
        if not identifier or not fold.isdecimal() or identifier in folds:
            raise InputError(
                f"{path.name}:{number}: expected an orig_id of its own and a whole number as fold"
            )
        folds[identifier] = int(fold)
    return folds


def learn_schema(sentences: Sequence[TaggedSentence]) -> LabelSchema:
    """Return the types that ``sentences`` use and the pairs they relate, types in order."""
    types = {entity.type for sentence in sentences for entity in sentence.entities}
    pairs = {
        (link.type, sentence.entities[link.head].type, sentence.entities[link.tail].type)
        for sentence in sentences
        for link in sentence.relations
    }
    return LabelSchema(
        entity_types=tuple(sorted(types)),
        relation_types=tuple(sorted({pair[0] for pair in pairs})),
        pairs=frozenset(pairs),
    )
