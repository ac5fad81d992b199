"""The inbox of webhook events: stored first, processed later, once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from annotator.store.clock import now
from annotator.store.rows import from_row
from db.tables import WebhookEventRow

__all__ = [
    "StoredEvent",
    "count_events",
    "delete_events",
    "done_events",
    "finish_event",
    "latest_event_id",
    "new_events",
    "oldest_waiting",
    "outdated_events",
    "settled_events",
    "store_event",
]


_AT_A_TIME = 1000
_IN_FLIGHT = 50  # far more than the threads of all backends


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event that waits."""

    id: int
    action: str
    studio_project_id: int | None
    payload: Mapping[str, Any]
    attempts: int
    received_at: datetime


def store_event(
    session: Session,
    *,
    action: str,
    studio_project_id: int | None,
    dedupe_key: str,
    payload: Mapping[str, Any],
) -> bool:
    """Store an event; return False if the same one is already stored."""
    row = WebhookEventRow(
        received_at=now(session),
        studio_project_id=studio_project_id,
        action=action[:100],
        dedupe_key=dedupe_key,
        payload=dict(payload),
        state="new",
        attempts=0,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


def new_events(session: Session, *, limit: int) -> list[StoredEvent]:
    """Return waiting events in the order in which they came."""
    rows = session.scalars(
        select(WebhookEventRow)
        .where(WebhookEventRow.state == "new")
        .order_by(WebhookEventRow.id)
        .limit(limit)
    )
    return [from_row(StoredEvent, row) for row in rows]


def finish_event(session: Session, event_id: int, *, state: str, error: str | None = None) -> None:
    """Set the state of an event: ``done``, ``ignored``, ``failed``, or ``new`` for another try."""
    row = session.get_one(WebhookEventRow, event_id)
    row.state, row.error = state, error
    row.attempts += 1
    row.processed_at = now(session)


def count_events(session: Session) -> dict[str, int]:
    """Count events by state."""
    rows = session.execute(
        select(WebhookEventRow.state, func.count()).group_by(WebhookEventRow.state)
    )
    empty = dict.fromkeys(("new", "done", "failed", "ignored"), 0)
    return empty | {row[0]: row[1] for row in rows}


def done_events(session: Session, *, after: int, since: datetime) -> list[StoredEvent]:
    """Return the events after number ``after`` that changed something.

    PostgreSQL gives numbers before a transaction commits, so one a little lower may appear later:
    such a one counts too if it was processed ``since`` then.
    """
    is_new = (WebhookEventRow.id > after) | (WebhookEventRow.processed_at >= since)
    rows = session.scalars(
        select(WebhookEventRow)
        .where(WebhookEventRow.state == "done", WebhookEventRow.id > after - _IN_FLIGHT, is_new)
        .order_by(WebhookEventRow.id)
        .execution_options(yield_per=50)
    )
    return [from_row(StoredEvent, row) for row in rows]


def settled_events(session: Session) -> int:
    """Return the number of the event up to which all that have come in are processed."""
    waiting = session.scalar(
        select(func.min(WebhookEventRow.id)).where(WebhookEventRow.state == "new")
    )
    return waiting - 1 if waiting else latest_event_id(session)


def outdated_events(session: Session, *, keep_days: float, pulled: int) -> list[int]:
    """Return the numbers of handled events that came more than ``keep_days`` ago, some at a time.

    A change that the next pull must still look at (after number ``pulled``) is none of them, nor
    is the newest event: numbers are never given twice.
    """
    row = WebhookEventRow
    oldest = select(row.id).order_by(row.id).limit(_AT_A_TIME).subquery()
    return list(
        session.scalars(
            select(row.id).where(
                row.id.in_(select(oldest.c.id)),
                row.id < latest_event_id(session),
                row.received_at < now(session) - timedelta(days=keep_days),
                or_(row.state.in_(("failed", "ignored")), row.id <= pulled),
                row.state != "new",
            )
        )
    )


def delete_events(session: Session, ids: Collection[int]) -> None:
    """Delete events, and the text they hold."""
    session.execute(delete(WebhookEventRow).where(WebhookEventRow.id.in_(ids)))


def oldest_waiting(session: Session) -> datetime | None:
    """Return when the oldest waiting event came in, or None."""
    return session.scalar(
        select(WebhookEventRow.received_at)
        .where(WebhookEventRow.state == "new")
        .order_by(WebhookEventRow.id)
        .limit(1)
    )


def latest_event_id(session: Session) -> int:
    """Return the id of the newest event, 0 if there is none."""
    return session.scalar(select(func.max(WebhookEventRow.id))) or 0
