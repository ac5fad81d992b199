"""Predictions that Label Studio has accepted, those it refuses, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, ScalarSelect, Select, delete, func, select, update
from sqlalchemy.orm import Session

from annotator.store.clock import now
from db.inserts import insert_new
from db.tables import ModelVersionRow, PushRow, TaskRow

__all__ = [
    "forget_pushes",
    "forget_refusals",
    "has_pushes",
    "has_unpushed",
    "lowest_score",
    "move_pushes",
    "pushed_scores",
    "record_pushes",
    "record_refusals",
    "refused_tasks",
    "takes",
    "unpushed_task_ids",
]

_CHUNK = 500


def has_unpushed(session: Session, project_id: int, *, version_id: int) -> bool:
    """Return whether Label Studio lacks this version's prediction of any open task."""
    found = session.scalar(_unpushed(project_id, version_id=version_id).limit(1))
    return found is not None


def unpushed_task_ids(session: Session, project_id: int, *, version_id: int) -> list[int]:
    """Return open tasks whose prediction by this version Label Studio does not yet have."""
    query = _unpushed(project_id, version_id=version_id).order_by(TaskRow.id)
    return list(session.scalars(query))


def _unpushed(project_id: int, *, version_id: int) -> Select[int]:
    pushed = select(PushRow.id).where(
        PushRow.task_id == TaskRow.id, PushRow.version_id == version_id
    )
    name = select(ModelVersionRow.name).where(ModelVersionRow.id == version_id).scalar_subquery()
    return select(TaskRow.id).where(
        TaskRow.project_id == project_id, TaskRow.state == "open", ~pushed.exists(), takes(name)
    )


def takes(version: str | ScalarSelect[str]) -> ColumnElement[bool]:
    """Return the condition that Label Studio has not refused a task's prediction by a version."""
    return func.coalesce(TaskRow.refused_version, "") != version


def record_refusals(session: Session, task_ids: Sequence[int], *, version: str) -> None:
    """Set tasks aside, of which Label Studio refuses the prediction by this version."""
    for i in range(0, len(task_ids), _CHUNK):
        session.execute(
            update(TaskRow)
            .where(TaskRow.id.in_(task_ids[i : i + _CHUNK]))
            .values(refused_version=version)
        )


def forget_refusals(session: Session, project_id: int) -> None:
    """Let the tasks set aside be tried again."""
    session.execute(
        update(TaskRow)
        .where(TaskRow.project_id == project_id, TaskRow.refused_version.is_not(None))
        .values(refused_version=None)
    )


def refused_tasks(session: Session, project_id: int, *, version: str) -> list[int]:
    """Return Label Studio's ids of open tasks set aside under this version."""
    return list(
        session.scalars(
            select(TaskRow.studio_id)
            .where(
                TaskRow.project_id == project_id,
                TaskRow.state == "open",
                TaskRow.refused_version == version,
            )
            .order_by(TaskRow.studio_id)
        )
    )


def pushed_scores(session: Session, version_id: int) -> dict[int, float]:
    """Return the scores of a version's predictions of open tasks in Label Studio, by task."""
    rows = session.execute(
        select(PushRow.task_id, PushRow.score)
        .join(TaskRow, TaskRow.id == PushRow.task_id)
        .where(PushRow.version_id == version_id, TaskRow.state == "open")
    )
    return {row[0]: row[1] for row in rows}


def record_pushes(
    session: Session, project_id: int, *, version_id: int, scores: dict[int, float]
) -> None:
    """Record that Label Studio has accepted predictions of these tasks (our own ids)."""
    at = now(session)
    insert_new(
        session,
        PushRow,
        [
            {
                "project_id": project_id,
                "version_id": version_id,
                "task_id": task_id,
                "score": score,
                "pushed_at": at,
            }
            for task_id, score in scores.items()
        ],
    )


def forget_pushes(session: Session, version_id: int) -> None:
    """Forget which predictions of a version Label Studio has, so that they are looked at again."""
    session.execute(delete(PushRow).where(PushRow.version_id == version_id))


def has_pushes(session: Session, version_id: int) -> bool:
    """Return whether Label Studio has any prediction of this version."""
    found = session.scalar(select(PushRow.id).where(PushRow.version_id == version_id).limit(1))
    return found is not None


def lowest_score(session: Session, version_id: int, *, without: Sequence[int]) -> float:
    """Return the lowest score of this version for an open task in Label Studio, except ``without``.

    It is 1.0 if there is none.
    """
    rows = session.execute(
        select(PushRow.score, PushRow.task_id)
        .join(TaskRow, TaskRow.id == PushRow.task_id)
        .where(PushRow.version_id == version_id, TaskRow.state == "open")
        .order_by(PushRow.score)
        .limit(len(without) + 1)
    )
    left_out = set(without)
    return next((score for score, task_id in rows if task_id not in left_out), 1.0)


def move_pushes(session: Session, version_id: int, scores: Mapping[int, float]) -> None:
    """Record new scores of predictions in Label Studio, by task."""
    for task_id, score in scores.items():
        session.execute(
            update(PushRow)
            .where(PushRow.version_id == version_id, PushRow.task_id == task_id)
            .values(score=score)
        )
