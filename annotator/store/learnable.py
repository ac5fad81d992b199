"""Which labels a model cannot learn, noted with each annotation when it is recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, ColumnExpressionArgument, String, cast, func, select
from sqlalchemy.orm import Session

from annotator.domain import Document, Entity, Relation
from annotator.store.gold import counts_as_gold
from annotator.store.projects import current_schema
from annotator.text import align_document
from db.tables import AnnotationRow, DocumentRow, EntityRow, RelationRow, TaskRow

__all__ = ["Learnable", "UnlearntPlace", "count_learnable", "find_unlearnt", "unlearnt_places"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnable:
    """How many labels there are in gold, and how many of them no model can learn, by reason."""

    n_labels: int
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def n_learnable(self) -> int:
        """How many a model can learn."""
        return self.n_labels - sum(self.left_out.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "n_labels": self.n_labels,
            "n_learnable": self.n_learnable,
            "left_out": dict(sorted(self.left_out.items())),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlearntPlace:
    """A labelled region with labels that cannot be learnt; ``task`` is its Label Studio task."""

    document: str
    start: int
    task: int | None
    left_out: dict[str, int]


def find_unlearnt(
    session: Session,
    project_id: int,
    *,
    document_id: int,
    region: tuple[int, int],
    entities: Sequence[Entity],
    relations: Sequence[Relation],
) -> list[dict[str, Any]]:
    """Return an issue for each label that training leaves out; offsets are the document's."""
    row = session.get_one(DocumentRow, document_id)
    start, end = region
    is_whole = region == (0, len(row.text))
    document = Document(
        id=row.name,
        text=row.text[start:end],
        entities=tuple(replace(e, start=e.start - start, end=e.end - start) for e in entities),
        relations=tuple(relations),
        meta=dict(row.meta) if is_whole else {"sentences": [[0, end - start]]},
    )
    issues = align_document(document, schema=current_schema(session, project_id)).issues
    return [
        {"kind": i.kind, "region": i.item_id, "message": i.detail, "kept": True, "learnt": False}
        for i in issues
        if i.kind != "unusable_meta"
    ]


def count_learnable(
    session: Session, project_id: int, *, import_id: int | None = None
) -> Learnable:
    """Count the labels of gold, or those that an import brought, and what training leaves out."""
    which = _is_gold(project_id)
    if import_id is not None:
        which.append(AnnotationRow.import_id == import_id)
    n_labels = 0
    for table in (EntityRow, RelationRow):
        n_labels += (
            session.scalar(
                select(func.count(table.id))
                .join(AnnotationRow, AnnotationRow.id == table.annotation_id)
                .where(*which)
            )
            or 0
        )
    left_out: Counter[str] = Counter()
    for issues in session.scalars(select(AnnotationRow.issues).where(*which, _has_issues())):
        left_out.update(_kinds(issues))
    return Learnable(n_labels=n_labels, left_out=dict(left_out))


def unlearnt_places(session: Session, project_id: int, *, limit: int) -> list[UnlearntPlace]:
    """Return the latest regions of gold with labels that training leaves out."""
    rows = session.execute(
        select(
            DocumentRow.name, AnnotationRow.region_start, TaskRow.studio_id, AnnotationRow.issues
        )
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .outerjoin(TaskRow, TaskRow.id == AnnotationRow.task_id)
        .where(*_is_gold(project_id), _has_issues())
        .order_by(AnnotationRow.id.desc())
    )
    found = []
    for name, start, task, issues in rows:
        if kinds := _kinds(issues):
            found.append(
                UnlearntPlace(document=name, start=start, task=task, left_out=dict(Counter(kinds)))
            )
        if len(found) == limit:
            break
    return found


def _kinds(issues: Sequence[dict[str, Any]]) -> list[str]:
    return [str(issue["kind"]) for issue in issues if issue.get("learnt") is False]


def _has_issues() -> ColumnElement[bool]:
    return cast(AnnotationRow.issues, String) != "[]"


def _is_gold(project_id: int) -> list[ColumnExpressionArgument[bool]]:
    return [
        AnnotationRow.project_id == project_id,
        AnnotationRow.is_current,
        AnnotationRow.state == "submitted",
        counts_as_gold(),
    ]
