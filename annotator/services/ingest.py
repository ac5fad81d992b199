"""Documents into the project: as gold, as pool, or into the hold-out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.orm import Session

from annotator.domain import Document, LabelSchema
from annotator.services.groups import (
    Arrival,
    Placement,
    group_stored_documents,
    place_documents,
    remember_places,
)
from annotator.store.annotations import NewAnnotation, record_annotation
from annotator.store.database import Database
from annotator.store.documents import NewDocument, add_document, known_names
from annotator.store.groups import count_groups
from annotator.store.projects import audit, current_schema, save_schema
from annotator.text import segment_document

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
        n_documents: Documents that are new.
        n_known: Documents that were there before, with the same text.
        n_sentences: Sentences of the new ones.
        n_entities: Entities that came as labels.
        n_relations: Relations that did.
        n_holdout: New documents in the hold-out.
        n_labelled: Documents whose labels are news.
        n_duplicates: New documents that are near-duplicates of others, and on their side.
        n_kept_out: New documents that were meant for the hold-out and are not in it, because
            labels of near-duplicates are learnt from.
        n_moved: Documents stored before that changed sides, to be where near-duplicates are.
        n_groups: Groups that all the project's documents fall into.
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
    """Draw a group into ``holdout`` with probability ``share``, whatever the order of import."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return "holdout" if int.from_bytes(digest[:8], "big") / 2**64 < share else "train"


def store_document(
    session: Session, project_id: int, document: Document, *, split: str, group: str | None = None
) -> tuple[int, bool, int]:
    """Store a text with its sentences; return its id, whether it is new, and its sentences.

    One stored without ``group`` is grouped later, see ``group_stored_documents``.
    """
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
            group=group,
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

    A share of the documents (drawn by group, so that sentences of one source and near-duplicates
    stay together) goes into the hold-out before anything else happens to them. An import may be
    repeated: what is there already is left as it is, so a killed import is simply run again.

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
            new: dict[int, Placement] = {}
            for document in part:
                place = places.get(document.id)
                document_id = _ingest(session, project_id, document, role, place, totals)
                if place is not None:
                    new[document_id] = place
            remember_places(session, project_id, new)
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


def _ingest(
    session: Session,
    project_id: int,
    document: Document,
    role: Role,
    place: Placement | None,
    totals: dict[str, int],
) -> int:
    split, group = (place.split, place.group) if place else ("train", None)
    document_id, is_new, n_sentences = store_document(
        session, project_id, document, split=split, group=group
    )
    totals["documents" if is_new else "known"] += 1
    if is_new and place is not None:
        totals["sentences"] += n_sentences
        totals["holdout"] += split == "holdout"
        totals["duplicates"] += place.joined
        totals["kept_out"] += role == "holdout" and split != "holdout"
    if role == "pool":
        return document_id
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
    return document_id
