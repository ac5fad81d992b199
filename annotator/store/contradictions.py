"""Texts with more than one truth: labels that differ where annotations overlap, or texts recur."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from annotator.store.gold import counts_as_gold, rank
from db.in_values import in_values
from db.tables import AnnotationRow, DocumentRow, EntityRow

__all__ = ["Contradictions", "find_contradictions"]

_CHUNK = 500
_Spans = set[tuple[str, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradictions:
    """Labels that do not agree.

    Attributes:
        places: Document and offset of annotations that others outrank in part or whole, with other
            labels there: of a document and its sentence, or imported and of Label Studio.
        texts: Documents with the same text and different labels, which all count.
    """

    places: tuple[tuple[str, int], ...]
    texts: tuple[tuple[str, ...], ...]

    def count(self) -> dict[str, int]:
        """Return how many there are of each kind."""
        return {"places": len(self.places), "texts": len(self.texts)}

    def documents(self) -> set[str]:
        """Return the documents that have any."""
        return {name for name, _ in self.places} | {n for names in self.texts for n in names}


def find_contradictions(session: Session, project_id: int) -> Contradictions:
    """Find where current labels of one text differ.

    That several people label the same task differently is none: it is Label Studio's to review.
    """
    return Contradictions(
        places=tuple(_places(session, project_id)), texts=tuple(_texts(session, project_id))
    )


def _places(session: Session, project_id: int) -> list[tuple[str, int]]:
    ids = _overlapping(session, project_id)
    found = []
    for i in range(0, len(ids), _CHUNK):
        part = ids[i : i + _CHUNK]
        rows = session.execute(
            select(AnnotationRow, DocumentRow.name)
            .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
            .where(
                in_values(session, AnnotationRow.document_id, part),
                AnnotationRow.is_current,
                AnnotationRow.state == "submitted",
            )
            .order_by(AnnotationRow.document_id, AnnotationRow.region_start, AnnotationRow.id)
        ).all()
        spans = _spans(session, [row[0].id for row in rows])
        for _, group in groupby(rows, key=lambda row: row[0].document_id):
            pairs = list(group)
            annotations = [annotation for annotation, _ in pairs]
            found += [
                (name, annotation.region_start)
                for annotation, name in pairs
                if any(_differ(annotation, other, spans) for other in annotations)
            ]
    return found


def _overlapping(session: Session, project_id: int) -> list[int]:
    """Return documents with annotations that overlap and are not of the same task.

    In the order of their beginnings, if any two overlap, two that follow on each other do.
    """
    columns = (AnnotationRow.region_start, AnnotationRow.region_end, AnnotationRow.source)
    following = [
        func.lead(column)
        .over(partition_by=AnnotationRow.document_id, order_by=columns)
        .label(f"next_{column.key}")
        for column in columns
    ]
    rows = (
        select(AnnotationRow.document_id, *columns, *following)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
        )
        .subquery()
    )
    query = select(rows.c.document_id).where(
        rows.c.next_region_start < rows.c.region_end,
        or_(
            rows.c.next_region_start != rows.c.region_start,
            rows.c.next_region_end != rows.c.region_end,
            rows.c.next_source != rows.c.source,
        ),
    )
    return sorted(set(session.scalars(query)))


def _spans(session: Session, annotation_ids: Sequence[int]) -> dict[int, _Spans]:
    found: dict[int, _Spans] = {i: set() for i in annotation_ids}
    for i in range(0, len(annotation_ids), _CHUNK):
        rows = session.execute(
            select(EntityRow.annotation_id, EntityRow.type, EntityRow.start, EntityRow.end).where(
                in_values(session, EntityRow.annotation_id, annotation_ids[i : i + _CHUNK])
            )
        )
        for annotation_id, type_, start, end in rows:
            found[annotation_id].add((type_, start, end))
    return found


def _differ(row: AnnotationRow, other: AnnotationRow, spans: dict[int, _Spans]) -> bool:
    """Return whether another outranks an annotation and says something else in its region."""
    start = max(row.region_start, other.region_start)
    end = min(row.region_end, other.region_end)
    regions = [(r.region_start, r.region_end, r.source) for r in (row, other)]
    if rank(other) <= rank(row) or start >= end or regions[0] == regions[1]:
        return False
    return _within(spans[row.id], start, end) != _within(spans[other.id], start, end)


def _within(spans: Iterable[tuple[str, int, int]], start: int, end: int) -> _Spans:
    return {span for span in spans if span[1] < end and start < span[2]}


def _texts(session: Session, project_id: int) -> list[tuple[str, ...]]:
    whole = and_(
        AnnotationRow.project_id == project_id,
        AnnotationRow.is_current,
        AnnotationRow.state == "submitted",
        AnnotationRow.region_start == 0,
        AnnotationRow.region_end == func.length(DocumentRow.text),
    )
    labelled = (
        select(DocumentRow.text_hash)
        .join(AnnotationRow, AnnotationRow.document_id == DocumentRow.id)
        .where(whole)
        .group_by(DocumentRow.text_hash)
        .having(func.count(DocumentRow.id.distinct()) > 1)
    )
    rows = session.execute(
        select(DocumentRow.text_hash, DocumentRow.name, AnnotationRow.id)
        .join(AnnotationRow, AnnotationRow.document_id == DocumentRow.id)
        .where(whole, DocumentRow.text_hash.in_(labelled), counts_as_gold())
        .order_by(DocumentRow.text_hash, DocumentRow.id)
    ).all()
    spans = _spans(session, [row[2] for row in rows])
    found = []
    for _, group in groupby(rows, key=lambda row: row[0]):
        same = list(group)
        if any(spans[row[2]] != spans[same[0][2]] for row in same):
            found.append(tuple(row[1] for row in same))
    return found
