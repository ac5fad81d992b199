"""Asking for rows by many keys at once, on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

__all__ = ["is_among"]


def is_among(
    session: Session, column: InstrumentedAttribute[int], values: Sequence[int]
) -> ColumnElement[bool]:
    """Return the condition that a column is one of many values.

    PostgreSQL gets them as one array: writing and reading a list of a thousand parameters costs
    more than the search.
    """
    if session.get_bind().dialect.name == "sqlite":
        return column.in_(values)
    return column == any_(literal(list(values), ARRAY(column.type)))
