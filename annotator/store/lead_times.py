"""How long people took to label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from annotator.store.projects import audit, latest_audit
from db.tables import AnnotationRow, EntityRow, RelationRow, SentenceRow

__all__ = ["LeadTime", "count_lead_times", "fitted_costs", "keep_costs", "lead_times"]

_ACTION = "fit_cost"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadTime:
    """The time of one annotation. ``diff`` is None if it was begun without a prediction."""

    n_words: int
    n_entities: int
    n_relations: int
    diff: Mapping[str, int] | None
    lead_time_s: float
    annotator: str | None


def count_lead_times(session: Session, project_id: int) -> int:
    """Count the annotations that ``lead_times`` can return."""
    query = select(func.count()).select_from(AnnotationRow)
    return int(session.scalar(query.where(*_timed(project_id))) or 0)


def lead_times(session: Session, project_id: int, *, limit: int) -> list[LeadTime]:
    """Return the times of the newest annotations, newest first.

    Label Studio's time of an annotation grows whenever somebody opens and saves it again, so the
    time is that of the first submission. Left out are annotations that were accepted in bulk,
    since deleted or skipped, or begun with a prediction that we do not know.
    """
    n_words = (
        select(func.coalesce(func.sum(SentenceRow.n_words), 0))
        .where(
            SentenceRow.document_id == AnnotationRow.document_id,
            SentenceRow.start >= AnnotationRow.region_start,
            SentenceRow.end <= AnnotationRow.region_end,
        )
        .scalar_subquery()
    )
    n_entities, n_relations = (
        select(func.count(table.id)).where(table.annotation_id == AnnotationRow.id)
        for table in (EntityRow, RelationRow)
    )
    rows = session.execute(
        select(
            n_words,
            n_entities.scalar_subquery(),
            n_relations.scalar_subquery(),
            AnnotationRow.diff,
            AnnotationRow.lead_time_s,
            AnnotationRow.annotator,
        )
        .where(*_timed(project_id))
        .order_by(AnnotationRow.id.desc())
        .limit(limit)
    )
    names = LeadTime.__slots__
    return [LeadTime(**dict(zip(names, row, strict=True))) for row in rows]


def keep_costs(session: Session, project_id: int, figures: Mapping[str, Any]) -> None:
    """Store the costs fitted to the times."""
    audit(session, project_id, actor="costs", action=_ACTION, **figures)


def fitted_costs(
    session: Session, project_id: int, *, before: datetime | None = None
) -> dict[str, Any] | None:
    """Return the costs fitted last (before ``before``) and when, None if there are none. Cheap."""
    found = latest_audit(session, project_id, _ACTION, before=before)
    return None if found is None else {"at": found[0].isoformat(), **found[1]}


def _timed(project_id: int) -> tuple[ColumnElement[bool], ...]:
    """Return conditions for the first submitted revision of each annotation that still stands."""
    now, before = aliased(AnnotationRow), aliased(AnnotationRow)

    def is_same(other: Any) -> ColumnElement[bool]:
        return and_(
            other.origin_id == AnnotationRow.origin_id,
            other.source == AnnotationRow.source,
            other.external_id == AnnotationRow.external_id,
            other.state == "submitted",
            ~other.bulk_created,
        )

    return (
        AnnotationRow.project_id == project_id,
        AnnotationRow.source == "studio",
        AnnotationRow.state == "submitted",
        AnnotationRow.lead_time_s > 0,
        ~AnnotationRow.bulk_created,
        or_(AnnotationRow.diff.is_not(None), AnnotationRow.parent_prediction.is_(None)),
        select(now.id).where(is_same(now), now.is_current).exists(),
        ~select(before.id)
        .where(is_same(before), before.revision < AnnotationRow.revision)
        .exists(),
    )
