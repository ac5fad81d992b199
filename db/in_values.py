"""Querying rows by many keys at once, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

__all__ = ["in_values"]


def in_values(
    session: Session, column: InstrumentedAttribute[Any], values: Sequence[int | str]
) -> ColumnElement[bool]:
    """Return the condition that a column equals one of many values.

    PostgreSQL gets them as one array, since writing and parsing a thousand parameters costs more
    than the search. The array is unnested: with ``= ANY(array)``, searches slowed down as a new
    table grew, until PostgreSQL had analysed it.
    """
    if session.get_bind().dialect.name == "sqlite":
        return column.in_(values)
    return column.in_(select(func.unnest(literal(list(values), ARRAY(column.type)))))
