"""Gold: the labels that count, out of all revisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from annotator.domain import Document, Entity, Relation
from db.tables import AnnotationRow, DocumentRow, EntityRow, RelationRow, SentenceRow

__all__ = [
    "GoldUnit",
    "count_gold",
    "counts_in_its_region",
    "gold_units",
    "newest_gold_sentences",
    "newest_gold_texts",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldUnit:
    """Labels that count: a region of a document with its labels.

    ``document`` holds the region's text, with offsets from its start; if the region is the whole
    document, it is that document.
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
    group = document.group_key or str(document.meta.get("group") or document.name)
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
    """Yield gold, one unit a region: the latest submitted, current annotation of each region.

    ``ids`` selects exactly these annotation revisions (a snapshot), whatever came after them.
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


def counts_in_its_region() -> ColumnElement[bool]:
    """Return the condition that no other label of the same region takes precedence over this one.

    Among current submitted annotations of a region, it holds for exactly one.
    """
    other = aliased(AnnotationRow)
    return ~(
        select(other.id)
        .where(
            other.project_id == AnnotationRow.project_id,
            other.document_id == AnnotationRow.document_id,
            other.is_current,
            other.state == "submitted",
            other.region_start == AnnotationRow.region_start,
            other.region_end == AnnotationRow.region_end,
            tuple_(other.ground_truth, other.created_at, other.id)
            > tuple_(AnnotationRow.ground_truth, AnnotationRow.created_at, AnnotationRow.id),
        )
        .exists()
    )


def count_gold(session: Session, project_id: int) -> dict[str, int]:
    """Count gold units by split, those accepted in bulk in either, and skips."""
    rows = session.execute(
        select(DocumentRow.split, AnnotationRow.state, AnnotationRow.bulk_created, func.count())
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            or_(AnnotationRow.state != "submitted", counts_in_its_region()),
        )
        .group_by(DocumentRow.split, AnnotationRow.state, AnnotationRow.bulk_created)
    )
    counts = {"train": 0, "holdout": 0, "in_bulk": 0, "skipped": 0}
    for split, state, in_bulk, n in rows:
        if state == "submitted":
            counts[split] += n
            counts["in_bulk"] += n if in_bulk else 0
        elif state == "skipped":
            counts["skipped"] += n
    return counts


def newest_gold_sentences(session: Session, project_id: int, *, limit: int) -> list[int]:
    """Return ids of training sentences with gold, newest label first."""
    rows = session.scalars(
        select(SentenceRow.id)
        .join(AnnotationRow, AnnotationRow.document_id == SentenceRow.document_id)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            AnnotationRow.region_start <= SentenceRow.start,
            AnnotationRow.region_end >= SentenceRow.end,
            DocumentRow.split == "train",
        )
        .order_by(AnnotationRow.created_at.desc(), AnnotationRow.id.desc(), SentenceRow.ordinal)
        .limit(limit)
    )
    return list(dict.fromkeys(rows))


def newest_gold_texts(session: Session, project_id: int, *, limit: int) -> list[str]:
    """Return the texts of regions with gold, newest label first."""
    length = AnnotationRow.region_end - AnnotationRow.region_start
    query = (
        select(func.substr(DocumentRow.text, AnnotationRow.region_start + 1, length))
        .select_from(AnnotationRow)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
        )
        .order_by(AnnotationRow.created_at.desc(), AnnotationRow.id.desc())
    )
    return list(session.scalars(query.limit(limit)))
