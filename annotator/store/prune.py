"""What old versions left behind, found and deleted by key, a bounded number of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, delete, select
from sqlalchemy.orm import Session

from annotator.store.origins import present_origin
from annotator.store.version_history import versions_before
from annotator.store.versions import ModelVersion, list_versions
from db.tables import AcquisitionRow, AnnotationRow, PredictionRow, PushRow, TaskRow

__all__ = [
    "delete_predictions",
    "forget_pushes",
    "has_prunable",
    "parent_predictions",
    "pushed_tasks",
    "versions_to_prune",
]

_CHUNK = 500


def versions_to_prune(session: Session, project_id: int, *, keep: int) -> list[ModelVersion]:
    """Return retired versions, except the ``keep - 1`` that a rollback reaches first.

    The one that was promoted first comes first.
    """
    reached = {version.name for version in versions_before(session, project_id)[: max(keep - 1, 0)]}
    retired = [
        version
        for version in list_versions(session, project_id)
        if version.state == "retired"
        and version.promoted_at is not None
        and version.name not in reached
    ]
    return sorted(retired, key=lambda v: (v.promoted_at, v.id))


def has_prunable(session: Session, project_id: int, *, keep: int) -> bool:
    """Return whether an old version has left anything behind."""
    return any(
        session.scalar(select(table.id).where(table.version_id == version.id).limit(1)) is not None
        for version in versions_to_prune(session, project_id, keep=keep)
        for table in (PushRow, AcquisitionRow, PredictionRow)
    )


def delete_predictions(session: Session, version_id: int, *, limit: int) -> int:
    """Delete utilities, then predictions of a version; return how many rows, 0 if none is left."""
    n = 0
    for table in (AcquisitionRow, PredictionRow):
        query = select(table.id).where(table.version_id == version_id).limit(limit - n)
        ids = list(session.scalars(query)) if n < limit else []
        for i in range(0, len(ids), _CHUNK):
            session.execute(delete(table).where(table.id.in_(ids[i : i + _CHUNK])))
        n += len(ids)
    return n


def pushed_tasks(
    session: Session, project_id: int, version_id: int, *, limit: int
) -> dict[int, int | None]:
    """Return Label Studio's ids of tasks for which it has a prediction of this version, by ours.

    None for tasks of a Label Studio project that ours is no longer connected to: their ids mean
    other tasks here.
    """
    here = TaskRow.origin_id == present_origin(project_id)
    rows = session.execute(
        select(TaskRow.id, case((here, TaskRow.studio_id)))
        .join(PushRow, PushRow.task_id == TaskRow.id)
        .where(PushRow.version_id == version_id)
        .order_by(PushRow.task_id)
        .limit(limit)
    )
    return {row[0]: row[1] for row in rows}


def forget_pushes(session: Session, version_id: int, task_ids: Sequence[int]) -> None:
    """Record that Label Studio no longer has this version's predictions of these tasks."""
    for i in range(0, len(task_ids), _CHUNK):
        session.execute(
            delete(PushRow).where(
                PushRow.version_id == version_id, PushRow.task_id.in_(task_ids[i : i + _CHUNK])
            )
        )


def parent_predictions(session: Session, task_id: int) -> set[int]:
    """Return Label Studio's ids of the predictions that a task's annotations began with."""
    found = session.scalars(
        select(AnnotationRow.parent_prediction).where(AnnotationRow.task_id == task_id)
    )
    return {one for one in found if one is not None}
