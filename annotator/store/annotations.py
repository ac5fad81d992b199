"""Annotations: append-only revisions, and the gold that follows from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from annotator.domain import Document, Entity, Relation
from db.tables import AnnotationRow, DocumentRow, EntityRow, RelationRow, TaskRow

__all__ = [
    "GoldUnit",
    "NewAnnotation",
    "correction_totals",
    "count_gold",
    "current_revision",
    "gold_units",
    "mark_deleted",
    "record_annotation",
    "studio_annotations",
    "studio_ids",
    "task_of_annotation",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnnotation:
    """One person's labels for ``region`` of a document, as they came. Offsets: document."""

    project_id: int
    document_id: int
    task_id: int | None
    source: str
    external_id: str
    state: str
    region: tuple[int, int]
    entities: Sequence[Entity]
    relations: Sequence[Relation]
    created_at: datetime
    raw: Any = None
    annotator: str | None = None
    ground_truth: bool = False
    bulk_created: bool = False
    lead_time_s: float | None = None
    parent_prediction: int | None = None
    parent_version: str | None = None
    diff: dict[str, Any] | None = None

    def content_hash(self) -> str:
        """Hash what a person decided, so that hearing of it twice changes nothing.

        That is the raw result where there is one: what we read out of it depends on the text and
        on the configuration too, and those are not the annotator's decisions.
        """
        content = {
            "state": self.state,
            "ground_truth": self.ground_truth,
            "annotator": self.annotator,
            "raw": self.raw,
        }
        if self.raw is None:
            content["entities"] = sorted([e.id, e.type, e.start, e.end] for e in self.entities)
            content["relations"] = sorted(
                [r.type or "", r.head, r.tail, r.bidirectional] for r in self.relations
            )
        packed = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(packed.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldUnit:
    """Labels that count: a region of a document with what was decided about it.

    ``document`` holds the region's text with offsets from its start; a region that is the whole
    document is that document itself.
    """

    annotation_id: int
    document_id: int
    document: Document
    source_document: str
    region: tuple[int, int]
    split: str
    group: str
    created_at: datetime
    source: str = "import"
    meta: dict[str, Any] = field(default_factory=dict)


def current_revision(
    session: Session, project_id: int, *, source: str, external_id: str
) -> AnnotationRow | None:
    """Return the newest revision's row (store-internal), or None."""
    return session.scalar(
        select(AnnotationRow).where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.source == source,
            AnnotationRow.external_id == external_id,
            AnnotationRow.is_current,
        )
    )


def record_annotation(session: Session, new: NewAnnotation, *, revive: bool = False) -> bool:
    """Append a revision, unless the current one says the same or is younger.

    Args:
        session: A writing session.
        new: The labels as they are now.
        revive: What was believed deleted is there after all: the word of a pull, which sees
            Label Studio as it is, where an event may only be late.

    Returns:
        True if a revision was added.
    """
    digest = new.content_hash()
    before = current_revision(
        session, new.project_id, source=new.source, external_id=new.external_id
    )
    if before is not None:
        if _is_old_news(before, new, digest, revive=revive):
            return False
        session.execute(
            update(AnnotationRow).where(AnnotationRow.id == before.id).values(is_current=False)
        )
    row = AnnotationRow(
        project_id=new.project_id,
        document_id=new.document_id,
        task_id=new.task_id,
        source=new.source,
        external_id=new.external_id,
        revision=1 if before is None else before.revision + 1,
        is_current=True,
        state=new.state,
        region_start=new.region[0],
        region_end=new.region[1],
        annotator=new.annotator,
        ground_truth=new.ground_truth,
        bulk_created=new.bulk_created,
        lead_time_s=new.lead_time_s,
        parent_prediction=new.parent_prediction,
        parent_version=new.parent_version,
        diff=new.diff,
        raw=new.raw,
        content_hash=digest,
        created_at=new.created_at,
        received_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    if new.entities:
        session.execute(
            insert(EntityRow),
            [
                {
                    "annotation_id": row.id,
                    "local_id": e.id,
                    "type": e.type,
                    "start": e.start,
                    "end": e.end,
                }
                for e in new.entities
            ],
        )
    if new.relations:
        session.execute(
            insert(RelationRow),
            [
                {
                    "annotation_id": row.id,
                    "type": r.type,
                    "head": r.head,
                    "tail": r.tail,
                    "bidirectional": r.bidirectional,
                }
                for r in new.relations
            ],
        )
    return True


def _is_old_news(before: AnnotationRow, new: NewAnnotation, digest: str, *, revive: bool) -> bool:
    if before.state == "deleted":
        # Its own time may be no later than the annotation's, where clocks differ.
        return before.content_hash == digest or (
            not revive and new.created_at <= before.created_at
        )
    place = (before.document_id, before.region_start, before.region_end)
    if before.content_hash == digest:
        # The same decision under a text edited since then: it stays with the text it was made for,
        # until it is submitted again.
        return place == (new.document_id, *new.region) or new.created_at <= before.created_at
    return new.created_at < before.created_at


def mark_deleted(session: Session, project_id: int, *, external_id: str, at: datetime) -> bool:
    """Append a ``deleted`` revision to a Label Studio annotation; the labels stay behind it.

    Returns:
        True if the annotation was known and not deleted yet.
    """
    before = current_revision(session, project_id, source="studio", external_id=external_id)
    if before is None or before.state == "deleted":
        return False
    return record_annotation(
        session,
        NewAnnotation(
            project_id=project_id,
            document_id=before.document_id,
            task_id=before.task_id,
            source="studio",
            external_id=external_id,
            state="deleted",
            region=(before.region_start, before.region_end),
            entities=(),
            relations=(),
            created_at=max(at, before.created_at),
            annotator=before.annotator,
        ),
    )


def studio_ids(
    session: Session, project_id: int, *, task_id: int, received_before: datetime
) -> set[str]:
    """Return the Label Studio ids of a task's annotations, not deleted and known by then."""
    return set(
        session.scalars(
            select(AnnotationRow.external_id).where(
                AnnotationRow.project_id == project_id,
                AnnotationRow.task_id == task_id,
                AnnotationRow.source == "studio",
                AnnotationRow.is_current,
                AnnotationRow.state != "deleted",
                AnnotationRow.received_at < received_before,
            )
        )
    )


def task_of_annotation(session: Session, project_id: int, *, external_id: str) -> int | None:
    """Return our task of a Label Studio annotation, or None if the annotation is unknown."""
    row = current_revision(session, project_id, source="studio", external_id=external_id)
    return None if row is None else row.task_id


def _labels_of(
    session: Session, ids: Sequence[int]
) -> tuple[dict[int, list[EntityRow]], dict[int, list[RelationRow]]]:
    entities: dict[int, list[EntityRow]] = {}
    relations: dict[int, list[RelationRow]] = {}
    for entity in session.scalars(
        select(EntityRow).where(EntityRow.annotation_id.in_(ids)).order_by(EntityRow.id)
    ):
        entities.setdefault(entity.annotation_id, []).append(entity)
    for relation in session.scalars(
        select(RelationRow).where(RelationRow.annotation_id.in_(ids)).order_by(RelationRow.id)
    ):
        relations.setdefault(relation.annotation_id, []).append(relation)
    return entities, relations


def _unit(
    row: AnnotationRow,
    document: DocumentRow,
    entities: Sequence[EntityRow],
    relations: Sequence[RelationRow],
) -> GoldUnit:
    start, end = row.region_start, row.region_end
    is_whole = (start, end) == (0, len(document.text))
    group = str(document.meta.get("group") or document.name)
    meta: dict[str, Any] = dict(document.meta) if is_whole else {"sentences": [[0, end - start]]}
    meta["group"] = group
    if not is_whole:
        meta |= {"document": document.name, "start": start, "end": end}
    return GoldUnit(
        annotation_id=row.id,
        document_id=document.id,
        document=Document(
            id=document.name if is_whole else f"{document.name}@{start}",
            text=document.text[start:end],
            entities=tuple(
                Entity(id=e.local_id, type=e.type, start=e.start - start, end=e.end - start)
                for e in entities
            ),
            relations=tuple(
                Relation(type=r.type, head=r.head, tail=r.tail, bidirectional=r.bidirectional)
                for r in relations
            ),
            meta=meta,
        ),
        source_document=document.name,
        region=(start, end),
        split=document.split,
        group=group,
        created_at=row.created_at,
        source=row.source,
    )


def gold_units(
    session: Session, project_id: int, *, split: str | None = None, ids: Sequence[int] | None = None
) -> Iterator[GoldUnit]:
    """Yield gold, one unit a region: submitted, current, the latest of each region.

    Args:
        session: An open session.
        project_id: The project.
        split: Only documents of this split.
        ids: Exactly these annotation revisions (a snapshot), whatever came after them.
    """
    query = (
        select(AnnotationRow, DocumentRow)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(AnnotationRow.project_id == project_id)
        .order_by(AnnotationRow.document_id, AnnotationRow.region_start, AnnotationRow.id)
    )
    if split is not None:
        query = query.where(DocumentRow.split == split)
    if ids is None:
        query = query.where(AnnotationRow.is_current, AnnotationRow.state == "submitted")
        rows = [(a, d) for a, d in session.execute(query)]
    else:
        wanted = list(ids)
        rows = []
        for i in range(0, len(wanted), 500):
            chunk = query.where(AnnotationRow.id.in_(wanted[i : i + 500]))
            rows += [(a, d) for a, d in session.execute(chunk)]
        rows.sort(key=lambda pair: (pair[0].document_id, pair[0].region_start, pair[0].id))
    latest: dict[tuple[int, int, int], tuple[AnnotationRow, DocumentRow]] = {}
    for annotation, document in rows:
        key = (annotation.document_id, annotation.region_start, annotation.region_end)
        held = latest.get(key)
        if held is None or _precedes(held[0], annotation):
            latest[key] = (annotation, document)
    chosen = list(latest.values())
    for i in range(0, len(chosen), 500):
        part = chosen[i : i + 500]
        entities, relations = _labels_of(session, [a.id for a, _ in part])
        for annotation, document in part:
            yield _unit(
                annotation,
                document,
                entities.get(annotation.id, ()),
                relations.get(annotation.id, ()),
            )


def _precedes(held: AnnotationRow, other: AnnotationRow) -> bool:
    # A ground-truth star outranks time; then the latest decision counts.
    return (held.ground_truth, held.created_at, held.id) < (
        other.ground_truth,
        other.created_at,
        other.id,
    )


def count_gold(session: Session, project_id: int) -> dict[str, int]:
    """Count gold annotations by split, and skipped ones."""
    rows = session.execute(
        select(DocumentRow.split, AnnotationRow.state, func.count())
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(AnnotationRow.project_id == project_id, AnnotationRow.is_current)
        .group_by(DocumentRow.split, AnnotationRow.state)
    )
    counts = {"train": 0, "holdout": 0, "skipped": 0}
    for split, state, n in rows:
        if state == "submitted":
            counts[split] += n
        elif state == "skipped":
            counts["skipped"] += n
    return counts


def studio_annotations(session: Session, project_id: int) -> dict[str, dict[str, Any]]:
    """Return submitted Label Studio annotations by its task id: their id and raw result."""
    rows = session.execute(
        select(TaskRow.studio_id, AnnotationRow.external_id, AnnotationRow.raw)
        .join(TaskRow, TaskRow.id == AnnotationRow.task_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.source == "studio",
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
        )
    )
    return {str(row[0]): {"id": row[1], "raw": row[2]} for row in rows}


def correction_totals(session: Session, project_id: int) -> dict[str, int]:
    """Sum what annotators kept and changed of predictions, over current annotations."""
    totals: dict[str, int] = {}
    rows = session.scalars(
        select(AnnotationRow.diff).where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            AnnotationRow.diff.is_not(None),
        )
    )
    for diff in rows:
        for key, n in (diff or {}).items():
            totals[key] = totals.get(key, 0) + int(n)
    return totals
