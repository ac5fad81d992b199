"""Documents into the project: as gold, as pool, or into the hold-out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.orm import Session

from annotator.domain import Document, LabelSchema
from annotator.store.annotations import NewAnnotation, record_annotation
from annotator.store.database import Database
from annotator.store.documents import NewDocument, add_document
from annotator.store.projects import audit, current_schema, save_schema
from annotator.text import segment_document

__all__ = ["IngestReport", "Role", "draw_split", "ingest_documents", "store_document"]

Role = Literal["gold", "pool", "holdout"]
_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an import did. ``n_known`` documents were there before, with the same text."""

    n_documents: int
    n_known: int
    n_sentences: int
    n_entities: int
    n_relations: int
    n_holdout: int
    n_labelled: int


def draw_split(group: str, *, share: float, seed: int) -> str:
    """Draw a group into ``holdout`` with probability ``share``, whatever the order of import."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return "holdout" if int.from_bytes(digest[:8], "big") / 2**64 < share else "train"


def store_document(
    session: Session, project_id: int, document: Document, *, split: str
) -> tuple[int, bool, int]:
    """Store a text with its sentences; return its id, whether it is new, and its sentences."""
    segmentation, _ = segment_document(document)
    sentences = [
        (sentence, len(segmentation.sentence_tokens(i)))
        for i, sentence in enumerate(segmentation.sentences)
    ]
    stored, is_new = add_document(
        session,
        project_id,
        NewDocument(
            name=document.id,
            text=document.text,
            split=split,
            meta=dict(document.meta),
            sentences=sentences,
        ),
    )
    return stored.id, is_new, len(sentences)


def ingest_documents(
    database: Database,
    project_id: int,
    documents: Sequence[Document],
    *,
    role: Role,
    holdout_share: float,
    seed: int,
    actor: str = "import",
    on_progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Store documents; with role gold or holdout their labels become gold.

    A share of the documents (drawn by group, so that sentences of one source stay together)
    goes into the hold-out before anything else happens to them. An import may be repeated: what
    is there already is left as it is, so a killed import is simply run again.

    Raises:
        ConflictError: if a document's id is taken by another text. The chunk is not stored.
    """
    totals = dict.fromkeys(
        ("documents", "known", "sentences", "entities", "relations", "holdout", "labelled"), 0
    )
    if role != "pool":  # first, so that no label is ever without its type
        learnt = LabelSchema.from_documents(documents)
        with database.write() as session:
            known = current_schema(session, project_id)
            save_schema(session, project_id, known.merge(learnt) if known else learnt)
    for i in range(0, len(documents), _CHUNK):
        part = documents[i : i + _CHUNK]
        with database.write() as session:
            for document in part:
                _ingest(session, project_id, document, role, holdout_share, seed, totals)
        if on_progress is not None:
            on_progress(min(i + _CHUNK, len(documents)))
    with database.write() as session:
        audit(session, project_id, actor=actor, action="import", role=role, **totals)
    return IngestReport(**{f"n_{key}": value for key, value in totals.items()})


def _ingest(
    session: Session,
    project_id: int,
    document: Document,
    role: Role,
    share: float,
    seed: int,
    totals: dict[str, int],
) -> None:
    group = str(document.meta.get("group") or document.id)
    split = "holdout" if role == "holdout" else draw_split(group, share=share, seed=seed)
    document_id, is_new, n_sentences = store_document(session, project_id, document, split=split)
    totals["documents" if is_new else "known"] += 1
    totals["sentences"] += n_sentences if is_new else 0
    totals["holdout"] += is_new and split == "holdout"
    if role == "pool":
        return
    added = record_annotation(
        session,
        NewAnnotation(
            project_id=project_id,
            document_id=document_id,
            task_id=None,
            source="import",
            external_id=document.id,
            state="submitted",
            region=(0, len(document.text)),
            entities=document.entities,
            relations=document.relations,
            created_at=datetime.now(UTC),
            annotator="import",
        ),
    )
    if added:
        totals["labelled"] += 1
        totals["entities"] += len(document.entities)
        totals["relations"] += len(document.relations)
