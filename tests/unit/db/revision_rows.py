"""Plausible rows for tables of any revision, made from what the database says of them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Table, insert, inspect, select

__all__ = ["Rows", "fill_tables", "read_tables"]

N_ROWS = 6  # as many as the states of the table that has most
TEXT = "Frau Müller's „Aspirin“\nNULL 💊"

Rows = dict[str, list[dict[str, Any]]]


def _reflected(connection: Connection) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(connection)
    return [t for t in metadata.sorted_tables if t.name != "alembic_version"]


def fill_tables(connection: Connection) -> Rows:
    """Put rows into every table that is there; all states occur, every foreign key is set."""
    for table in _reflected(connection):
        checks = inspect(connection).get_check_constraints(table.name)
        choices = {c.name: _choices(c.name, checks) for c in table.columns}
        rows = [
            {c.name: _value(c, i, choices[c.name]) for c in table.columns} for i in range(N_ROWS)
        ]
        connection.execute(insert(table), rows)
    return read_tables(connection)


def read_tables(connection: Connection) -> Rows:
    """Return all rows of all tables, in the order of their keys."""
    return {
        table.name: [
            dict(row._mapping)
            for row in connection.execute(select(table).order_by(*table.primary_key.columns))
        ]
        for table in _reflected(connection)
    }


def _choices(column: str, checks: Any) -> list[str]:
    """Return the words that the table's rules allow in a column, as either engine writes them."""
    for check in checks:
        if re.search(rf"\b{column}\b", check["sqltext"]):
            return re.findall(r"'([^']*)'", check["sqltext"])
    return []


def _value(column: Column[Any], i: int, choices: list[str]) -> Any:
    kind = column.type.python_type
    if column.foreign_keys and kind is int:
        return i + 1
    if choices:
        return choices[i % len(choices)]
    if kind is str:
        length = getattr(column.type, "length", None) or 1000
        return f"{i} {TEXT}"[:length]
    return {
        int: i + 1,
        float: i / 4,
        bool: i % 2 == 0,
        bytes: bytes([i, 0, 255]),
        datetime: datetime(2026, 11, 22, 8, 30, 0, 123456) + timedelta(days=i),
        object: {"n": i, "text": TEXT, "list": [1, 0.5, None, True]},  # JSON
    }[kind]
