"""The log of a training run: what was done when, for people to read. Never holds document text.

It is in the database, so that it can be read from anywhere, and a written line survives whatever
dies next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from annotator.store.clock import now
from annotator.store.rows import from_row
from db.tables import RunEventRow

__all__ = [
    "RunEvent",
    "event_to_json",
    "log_run",
    "read_run_log",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """One line. ``kind`` says what happened, ``detail`` holds its numbers and reasons."""

    id: int
    at: datetime
    kind: str
    detail: Mapping[str, Any]


def log_run(
    session: Session, run_id: int, kind: str, *, at: datetime | None = None, **detail: Any
) -> None:
    """Add a line to a run's log, kept if the transaction commits."""
    session.add(
        RunEventRow(
            run_id=run_id,
            at=at or now(session),
            kind=kind,
            detail={key: value for key, value in detail.items() if value is not None},
        )
    )


def read_run_log(
    session: Session, run_id: int, *, after: int = 0, limit: int | None = None
) -> list[RunEvent]:
    """Return the lines of a run in order, starting after the line with id ``after``."""
    rows = session.scalars(
        select(RunEventRow)
        .where(RunEventRow.run_id == run_id, RunEventRow.id > after)
        .order_by(RunEventRow.id)
        .limit(limit)
    )
    return [from_row(RunEvent, row) for row in rows]


def event_to_json(event: RunEvent) -> dict[str, Any]:
    """Return a line of a run's log as plain JSON values."""
    return {"at": event.at.isoformat(), "kind": event.kind, **event.detail}
