"""Inserting rows that may be there already, without a race, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.base import Base

__all__ = ["insert_new", "insert_or_update"]


def insert_new(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those that some unique constraint knows already are left as they are."""
    if rows:
        session.execute(_insert(session, table).on_conflict_do_nothing(), list(rows))


def insert_or_update(
    session: Session,
    table: type[Base],
    rows: Sequence[dict[str, Any]],
    *,
    key: Sequence[str],
    changed: Sequence[str],
) -> None:
    """Insert rows; where the unique columns ``key`` are there already, set ``changed`` instead."""
    if not rows:
        return
    statement = _insert(session, table)
    given = {name: statement.excluded[name] for name in changed}
    session.execute(
        statement.on_conflict_do_update(index_elements=list(key), set_=given), list(rows)
    )


def _insert(session: Session, table: type[Base]) -> postgresql.Insert | sqlite.Insert:
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if is_sqlite else postgresql.insert(table)
