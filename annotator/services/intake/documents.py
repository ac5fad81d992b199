"""Import of documents into the project: as gold, as pool, or into the hold-out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.orm import Session

from annotator.domain import Document, LabelSchema
from annotator.services.intake.groups import (
    Arrival,
    Placement,
    group_stored_documents,
    place_documents,
    remember_places,
)
from annotator.store.annotations import NewAnnotation, record_annotation
from annotator.store.database import Database
from annotator.store.documents import NewDocument, add_documents, known_names
from annotator.store.groups import count_groups
from annotator.store.projects import audit, current_schema, save_schema
from annotator.text import count_words

__all__ = ["IngestReport", "Role", "draw_split", "ingest_documents", "store_document"]

Role = Literal["gold", "pool", "holdout"]
_CHUNK = 200
_TOTALS = (
    "documents",
    "known",
    "sentences",
    "entities",
    "relations",
    "holdout",
    "labelled",
    "duplicates",
    "kept_out",
    "moved",
    "groups",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """What an import did.

    Attributes:
        n_documents: New documents.
        n_known: Documents that were stored before, with the same text.
        n_sentences: Sentences of the new documents.
        n_entities: Entities that came as labels.
        n_relations: Relations that came as labels.
        n_holdout: New documents in the hold-out.
        n_labelled: Documents with new labels.
        n_duplicates: New documents that are near-duplicates of others, and on their side.
        n_kept_out: New documents intended for the hold-out but not in it, because near-duplicates
            of them are trained on.
        n_moved: Stored documents that changed sides to join their near-duplicates.
        n_groups: Groups over all the project's documents.
    """

    n_documents: int
    n_known: int
    n_sentences: int
    n_entities: int
    n_relations: int
    n_holdout: int
    n_labelled: int
    n_duplicates: int
    n_kept_out: int
    n_moved: int
    n_groups: int


def draw_split(group: str, *, share: float, seed: int) -> str:
    """Draw ``holdout`` for a group with probability ``share``, independent of import order."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return "holdout" if int.from_bytes(digest[:8], "big") / 2**64 < share else "train"


def store_document(
    session: Session, project_id: int, document: Document, *, split: str, group: str | None = None
) -> tuple[int, bool, int]:
    """Store a text with its sentences; return its id, whether it is new, and its sentence count.

    Without ``group`` it is grouped later, see ``group_stored_documents``.
    """
    new = _segmented(document, split=split, group=group)
    ((document_id, is_new),) = add_documents(session, project_id, [new])
    return document_id, is_new, len(new.sentences)


def _segmented(document: Document, *, split: str, group: str | None) -> NewDocument:
    return NewDocument(
        name=document.id,
        text=document.text,
        split=split,
        meta=dict(document.meta),
        sentences=count_words(document),
        group=group,
    )


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

    First, a share of the documents is drawn into the hold-out, by group, so that near-duplicates
    and sentences of one source stay together. An import may be repeated: what is stored already
    is left unchanged, so a killed import is simply run again.

    Raises:
        ConflictError: if a document's id is taken by another text. The chunk is not stored.
    """
    totals = dict.fromkeys(_TOTALS, 0)
    group_stored_documents(database, project_id)
    if role != "pool":  # first, so that no label is ever without its type
        learnt = LabelSchema.from_documents(documents)
        with database.write() as session:
            known = current_schema(session, project_id)
            save_schema(session, project_id, known.merge(learnt) if known else learnt)
    for i in range(0, len(documents), _CHUNK):
        part = documents[i : i + _CHUNK]
        with database.write() as session:
            places, n_moved = _place(session, project_id, part, role, holdout_share, seed)
            totals["moved"] += n_moved
            ids = _store(session, project_id, part, role, places, totals)
            if role != "pool":
                _record_labels(session, project_id, part, ids, totals)
            remember_places(
                session, project_id, {ids[name]: place for name, place in places.items()}
            )
        if on_progress is not None:
            on_progress(min(i + _CHUNK, len(documents)))
    with database.write() as session:
        totals["groups"] = count_groups(session, project_id)
        audit(session, project_id, actor=actor, action="import", role=role, **totals)
    return IngestReport(**{f"n_{key}": value for key, value in totals.items()})


def _place(
    session: Session,
    project_id: int,
    documents: Sequence[Document],
    role: Role,
    share: float,
    seed: int,
) -> tuple[dict[str, Placement], int]:
    known = known_names(session, project_id, [document.id for document in documents])
    new = {document.id: document for document in documents if document.id not in known}
    arrivals = []
    for document in new.values():
        group = str(document.meta.get("group") or document.id)
        drawn = draw_split(group, share=share, seed=seed)
        arrivals.append(
            Arrival(
                group=group,
                text=document.text,
                split="holdout" if role == "holdout" else drawn,
                chosen=role == "holdout",
                labelled=role != "pool",
            )
        )
    places, n_moved = place_documents(session, project_id, arrivals)
    return dict(zip(new, places, strict=True)), n_moved


def _store(
    session: Session,
    project_id: int,
    documents: Sequence[Document],
    role: Role,
    places: Mapping[str, Placement],
    totals: dict[str, int],
) -> dict[str, int]:
    """Store texts and count the new ones; return the documents' ids by name."""
    new = [
        _segmented(
            document,
            split=places[document.id].split if document.id in places else "train",
            group=places[document.id].group if document.id in places else None,
        )
        for document in documents
    ]
    stored = add_documents(session, project_id, new)
    for document, (_, is_new) in zip(new, stored, strict=True):
        totals["documents" if is_new else "known"] += 1
        if is_new and document.name in places:
            totals["sentences"] += len(document.sentences)
            totals["holdout"] += document.split == "holdout"
            totals["duplicates"] += places[document.name].joined
            totals["kept_out"] += role == "holdout" and document.split != "holdout"
    return {d.name: document_id for d, (document_id, _) in zip(new, stored, strict=True)}


def _record_labels(
    session: Session,
    project_id: int,
    documents: Sequence[Document],
    ids: Mapping[str, int],
    totals: dict[str, int],
) -> None:
    for document in documents:
        added = record_annotation(
            session,
            NewAnnotation(
                project_id=project_id,
                document_id=ids[document.id],
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
