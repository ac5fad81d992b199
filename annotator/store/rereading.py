"""Annotations whose labels another reader, or another configuration, has read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnExpressionArgument, func, or_, select, update
from sqlalchemy.orm import Session

from annotator.store.annotations import NewAnnotation, decision_of, reread
from annotator.store.origins import present_origin
from db.tables import AnnotationRow, DocumentRow, TaskRow

__all__ = [
    "StaleAnnotation",
    "count_issues",
    "count_unread",
    "settle",
    "stale_annotations",
    "take_over",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleAnnotation:
    """A current annotation of the connected Label Studio project that is to be read again.

    ``text`` is that of its region; ``studio_task`` is None if its task is deleted there.
    """

    id: int
    studio_task: int | None
    text: str
    decision: NewAnnotation


def _is_stale(project_id: int, reader: str) -> Sequence[ColumnExpressionArgument[bool]]:
    return (
        AnnotationRow.project_id == project_id,
        AnnotationRow.is_current,
        AnnotationRow.source == "studio",
        AnnotationRow.origin_id == present_origin(project_id),
        AnnotationRow.raw.is_not(None),
        or_(AnnotationRow.read_by.is_(None), AnnotationRow.read_by != reader),
    )


def stale_annotations(
    session: Session, project_id: int, *, reader: str, after: int, limit: int
) -> list[StaleAnnotation]:
    """Return annotations that another reader has read, by ascending id above ``after``."""
    rows = session.execute(
        select(AnnotationRow, DocumentRow.text, TaskRow.studio_id, TaskRow.state)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .outerjoin(TaskRow, TaskRow.id == AnnotationRow.task_id)
        .where(*_is_stale(project_id, reader), AnnotationRow.id > after)
        .order_by(AnnotationRow.id)
        .limit(limit)
    ).all()
    return [
        StaleAnnotation(
            id=row.id,
            studio_task=None if state in (None, "deleted") else studio_id,
            text=text[row.region_start : row.region_end],
            decision=decision_of(session, row),
        )
        for row, text, studio_id, state in rows
    ]


def take_over(session: Session, annotation_id: int, new: NewAnnotation) -> bool:
    """Take over what today's reader made of an annotation; True if its labels are others."""
    row = session.get_one(AnnotationRow, annotation_id)
    return row.is_current and reread(session, row, new)


def settle(session: Session, ids: Collection[int], *, reader: str) -> None:
    """Leave annotations as they were read; they are not read again by this reader."""
    wanted: Sequence[Any] = sorted(ids)
    for i in range(0, len(wanted), 500):
        session.execute(
            update(AnnotationRow)
            .where(AnnotationRow.id.in_(wanted[i : i + 500]))
            .values(read_by=reader)
        )


def count_unread(session: Session, project_id: int) -> int:
    """Count annotations that name what the labeling configuration no longer has: no gold."""
    query = select(func.count(AnnotationRow.id)).where(
        AnnotationRow.project_id == project_id,
        AnnotationRow.is_current,
        AnnotationRow.state == "unread",
    )
    return session.scalar(query) or 0


def count_issues(session: Session, project_id: int) -> dict[str, int]:
    """Count, by kind, what of current Label Studio annotations could not be read as it was."""
    counts: dict[str, int] = {}
    rows = session.scalars(
        select(AnnotationRow.issues).where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.source == "studio",
        )
    )
    for issues in rows:
        for issue in issues:
            if "learnt" in issue:
                continue
            counts[issue["kind"]] = counts.get(issue["kind"], 0) + 1
    return counts
