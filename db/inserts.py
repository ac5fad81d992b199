"""Inserting rows that may be there already, without a race, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.base import Base

__all__ = ["insert_new"]


def insert_new(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows; those that some unique constraint knows already are left as they are."""
    if not rows:
        return
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    insert = sqlite.insert if is_sqlite else postgresql.insert
    session.execute(insert(table).on_conflict_do_nothing(), list(rows))
