"""Inserting many rows, or rows that may already exist, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from db.base import Base

__all__ = ["insert_many", "insert_new", "insert_or_update"]


def insert_many(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert new rows, all with the same columns, without the ORM.

    PostgreSQL gets one statement with an array a column, which costs less than one a row.
    """
    if not rows:
        return
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), list(rows))
        return
    columns = [table.__table__.c[name] for name in rows[0]]
    arrays = (
        literal([row[column.name] for row in rows], postgresql.ARRAY(column.type))
        for column in columns
    )
    names = [column.name for column in columns]
    given = func.unnest(*arrays).table_valued(*names, name="given").render_derived()
    connection.execute(insert(table).from_select(names, select(given)))


def insert_new(session: Session, table: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, skipping those that violate a unique constraint."""
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
    """Insert rows; where the unique columns ``key`` already exist, set ``changed`` instead."""
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
