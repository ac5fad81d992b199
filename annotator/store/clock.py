"""The clock that programs compare their times with: the database's, which all of them share.

A clock may be ahead and be corrected, so no stored time is trusted further than it can be: one that
lies ahead is long past. Within a process, time is measured by its monotonic clock.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Interval, func, literal, select
from sqlalchemy.orm import Session

from db.types import UtcDateTime

__all__ = ["SLACK", "ClockWatch", "elapsed_s", "instant", "now"]

#: Two connections' times may differ by this much: a clock is slewed, or a transaction waited.
SLACK = timedelta(seconds=2)


def now(session: Session) -> datetime:
    """Return the database's time. PostgreSQL is asked once a session.

    SQLite has that of this machine, on which all its programs run.
    """
    if _is_sqlite(session):
        return datetime.now(UTC)
    if "clock" not in session.info:
        with session.no_autoflush:
            asked: datetime = session.scalars(select(func.clock_timestamp())).one()
        session.info["clock"] = (asked.astimezone(UTC), time.monotonic())
    then, ticks = session.info["clock"]
    at: datetime = then + timedelta(seconds=time.monotonic() - ticks)
    return at


def instant(session: Session, *, after_s: float = 0.0) -> ColumnElement[datetime]:
    """Return the database's time, ``after_s`` later, at the moment a statement is executed.

    Unlike ``now`` it is no older than the rows that it is compared with.
    """
    after = timedelta(seconds=after_s)
    if _is_sqlite(session):  # writers come one after the other
        return literal(datetime.now(UTC) + after, UtcDateTime)
    at = func.timezone("UTC", func.clock_timestamp(), type_=UtcDateTime)
    return at + literal(after, Interval)


def elapsed_s(since: datetime, at: datetime) -> float:
    """Return the seconds from ``since`` to ``at``; infinite where ``since`` lies ahead."""
    return math.inf if since > at + SLACK else max(0.0, (at - since).total_seconds())


class ClockWatch:
    """Notices that a clock has jumped, by the monotonic clock of this process."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def has_jumped(self, at: datetime) -> bool:
        """Return whether ``at`` is not as much later than at the last call as time has passed."""
        last, self._last = self._last, (at, time.monotonic())
        if last is None:
            return False
        passed = timedelta(seconds=self._last[1] - last[1])
        return abs(at - last[0] - passed) > SLACK


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
