"""Which sentences of a file a version has learnt from, and which types it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from annotator.domain import Document, TaggedSentence
from annotator.errors import InputError, LabelError
from annotator.services.intake.roles import UnknownType, unknown_types
from annotator.store.database import Database
from annotator.store.documents import hash_text
from annotator.store.gold import GoldUnit, gold_units
from annotator.store.groups import find_by_bands, resolve_aliases
from annotator.store.snapshots import get_snapshot
from annotator.store.versions import ModelVersion
from annotator.text import align_document
from annotator.text.duplicates import MOST_A_BAND, DuplicateIndex, sketch_texts

__all__ = ["TestText", "read_test_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TestText:
    """Sentences to measure a version on.

    Attributes:
        sentences: Those of which all labels can be expressed.
        seen: For each, whether the version has learnt from its text.
        n_incomplete: Sentences left out, since the model cannot express all of their labels.
        unknown_types: Types of the labels that the version does not know, so cannot find.
    """

    __test__ = False

    sentences: tuple[TaggedSentence, ...]
    seen: tuple[bool, ...]
    n_incomplete: int
    unknown_types: tuple[UnknownType, ...]


def read_test_text(
    database: Database, project_id: int, version: ModelVersion, documents: Sequence[Document]
) -> TestText:
    """Align gold documents, and tell what of them a version has learnt from.

    That is a sentence of the same text as one it was trained on, and all of a document that is in
    the group of one, or a near-duplicate of one in that group.

    Raises:
        InputError: if there is no label to measure by.
        LabelError: if the version knows none of the types.
    """
    with database.read() as session:
        snapshot = get_snapshot(session, version.snapshot_id)
        members = sorted(i for i, split in snapshot.members.items() if split == "train")
        units = list(gold_units(session, project_id, ids=members)) if members else []
        known = _learnt_documents(session, project_id, documents, units)
    unknown = unknown_types(documents, snapshot.schema)
    n_labels = sum(len(d.entities) + len(d.relations) for d in documents)
    if n_labels == 0:
        raise InputError("there is not one label in it to measure by")
    if n_labels == sum(one.n for one in unknown):
        raise LabelError(
            f"{version.name} knows none of its types: {', '.join(map(str, unknown))}; it knows "
            f"{', '.join((*snapshot.schema.entity_types, *snapshot.schema.relation_types))}"
        )
    learnt = {text for unit in units for text in _sentence_hashes(unit.document)}
    sentences, seen, n_incomplete = [], [], 0
    for document, is_known in zip(documents, known, strict=True):
        for sentence in align_document(document).sentences:
            if not sentence.is_complete:
                n_incomplete += 1
                continue
            text = document.text[sentence.start : sentence.end]
            sentences.append(sentence)
            seen.append(is_known or hash_text(text) in learnt)
    if not sentences:
        raise InputError("none of its sentences can be measured: a label in each is cut off words")
    return TestText(
        sentences=tuple(sentences),
        seen=tuple(seen),
        n_incomplete=n_incomplete,
        unknown_types=unknown,
    )


def _sentence_hashes(document: Document) -> list[str]:
    sentences = align_document(document).sentences
    return [hash_text(document.text[s.start : s.end]) for s in sentences]


def _learnt_documents(
    session: Session, project_id: int, documents: Sequence[Document], units: Sequence[GoldUnit]
) -> list[bool]:
    learnt = {unit.group for unit in units}
    sketches = sketch_texts([document.text for document in documents])
    bands = (band for sketch in sketches for band in sketch.bands)
    near = find_by_bands(session, project_id, bands, most=MOST_A_BAND)
    index = DuplicateIndex()
    for text, sketch in zip(near, sketch_texts([text.text for text in near]), strict=True):
        index.add(text.group, sketch)
    sources = [str(document.meta.get("group") or "") for document in documents]
    became = resolve_aliases(session, project_id, filter(None, sources))
    return [
        became.get(source, source) in learnt or bool(set(index.find(sketch)) & learnt)
        for source, sketch in zip(sources, sketches, strict=True)
    ]
