"""The log of selections: which tasks were put where in the queue, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from annotator.store.clock import now
from annotator.store.rows import columns_of, from_row
from db.inserts import insert_new
from db.tables import (
    DocumentRow,
    ModelVersionRow,
    PushRow,
    QueryChoiceRow,
    QueryLogRow,
    TaskRow,
)

__all__ = [
    "Choice",
    "LoggedChoice",
    "add_choices",
    "latest_choice",
    "log_selection",
    "queue_head",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A task's place: ``rank`` from 0; ``reason`` is as in ``TaskOrder``."""

    task_id: int
    rank: int
    reason: str
    utility: float | None = None
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedChoice:
    """A choice with the selection it belongs to."""

    choice: Choice
    strategy: str
    version: str | None
    seed: int
    n_pool: int
    created_at: datetime


def log_selection(
    session: Session,
    project_id: int,
    *,
    version_id: int | None,
    strategy: str,
    seed: int,
    n_pool: int,
    choices: Sequence[Choice] = (),
) -> int:
    """Store a selection and return its id; ``add_choices`` adds further parts."""
    log = QueryLogRow(
        project_id=project_id,
        version_id=version_id,
        strategy=strategy,
        seed=seed,
        n_pool=n_pool,
        created_at=now(session),
    )
    session.add(log)
    session.flush()
    add_choices(session, log.id, choices)
    return log.id


def add_choices(session: Session, query_id: int, choices: Sequence[Choice]) -> None:
    """Store more choices of a selection; a task that already has a place keeps it."""
    insert_new(
        session,
        QueryChoiceRow,
        [
            {**columns_of(choice), "query_id": query_id, "parts": dict(choice.parts)}
            for choice in choices
        ],
    )


def latest_choice(session: Session, task_id: int) -> LoggedChoice | None:
    """Return the latest place that a task was given, or None."""
    found = session.execute(
        select(QueryChoiceRow, QueryLogRow, ModelVersionRow.name)
        .join(QueryLogRow, QueryLogRow.id == QueryChoiceRow.query_id)
        .outerjoin(ModelVersionRow, ModelVersionRow.id == QueryLogRow.version_id)
        .where(QueryChoiceRow.task_id == task_id)
        .order_by(QueryLogRow.id.desc())
        .limit(1)
    ).first()
    if found is None:
        return None
    row, log, version = found
    return from_row(LoggedChoice, log, choice=from_row(Choice, row), version=version)


def queue_head(
    session: Session, project_id: int, *, version_id: int, limit: int
) -> list[dict[str, Any]]:
    """Return the open tasks that Label Studio shows next, by the scores pushed to it."""
    reason = (
        select(QueryChoiceRow.reason)
        .where(QueryChoiceRow.task_id == TaskRow.id)
        .order_by(QueryChoiceRow.query_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(TaskRow.studio_id, TaskRow.id, DocumentRow.name, PushRow.score, reason)
        .join(PushRow, PushRow.task_id == TaskRow.id)
        .join(DocumentRow, DocumentRow.id == TaskRow.document_id)
        .where(
            TaskRow.project_id == project_id,
            TaskRow.state == "open",
            PushRow.version_id == version_id,
        )
        .order_by(PushRow.score, PushRow.task_id)
        .limit(limit)
    )
    return [
        {"task": row[0], "id": row[1], "document": row[2], "score": row[3], "reason": row[4]}
        for row in rows
    ]
