"""Migration 0010: what is there is given its origin, and the way back finds it again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, MetaData, Table, insert, text

from annotator.store.database import Database

FORMER = -(10**12)
NOON = datetime(2026, 11, 22, 12, 0)
PROJECTS = [  # one connected a second time, one disconnected, one never connected
    (1, "http://a", "1.200"),
    (2, None, "1.300"),
    (3, None, None),
]
TASKS = [(1, 1, 7), (2, 1, FORMER - 2), (3, 2, 7), (4, 3, 7)]
ANNOTATIONS = [
    (1, 1, "studio", "5"),
    (2, 1, "studio", "1.100/5"),
    (3, 1, "import", "5"),
    (4, 1, "import", "notes/5"),
    (5, 2, "studio", "5"),
]


def add(connection: Connection, name: str, /, **values: Any) -> None:
    table = Table(name, MetaData(), autoload_with=connection)
    times = {c.name: NOON for c in table.columns if c.name.endswith("ed_at")}
    times.pop("pulled_at", None)
    connection.execute(insert(table).values({**times, **values}))


def fill(connection: Connection) -> None:
    for id, host, key in PROJECTS:
        where = {"studio_host": host, "studio_key": key, "studio_project_id": 1}
        add(connection, "project", id=id, name=f"p{id}", unit="sentence", **where)
        text_ = {"name": "d", "text": "t", "text_hash": "h", "split": "train", "meta": {}}
        add(connection, "document", id=id, project_id=id, **text_)
    for id, project, studio_id in TASKS:
        of = {"project_id": project, "document_id": project, "state": "deleted"}
        add(connection, "task", id=id, studio_id=studio_id, **of)
    for id, project, source, external_id in ANNOTATIONS:
        of = {"project_id": project, "document_id": project, "state": "submitted"}
        said = {"ground_truth": False, "bulk_created": False, "issues": [], "content_hash": "h"}
        place = {"revision": 1, "is_current": True, "region_start": 0, "region_end": 1}
        whose = {"source": source, "external_id": external_id}
        add(connection, "annotation", id=id, **whose, **of, **said, **place)


def rows(database: Database, statement: str) -> list[Any]:
    with database.read() as session:
        return [tuple(row) for row in session.execute(text(statement))]


TABLES = {
    "task": "SELECT id, project_id, studio_id, state FROM task ORDER BY id",
    "annotation": "SELECT id, source, external_id, state FROM annotation ORDER BY id",
}


@pytest.fixture
def earlier(database: Database) -> Database:
    """A database as it was before, with rows."""
    database.downgrade("0009")
    with database.write() as session:
        fill(session.connection())
    return database


def test_rows_get_the_origin_they_came_from(earlier: Database) -> None:
    earlier.upgrade()

    tasks = "SELECT task.id, host, key FROM task JOIN origin ON origin.id = origin_id ORDER BY 1"
    assert rows(earlier, tasks) == [
        (1, "http://a", "1.200"),
        (2, "", "former"),
        (3, "", "1.300"),
        (4, "", ""),
    ]
    labels = (
        "SELECT annotation.id, host, key, external_id FROM annotation "
        "JOIN origin ON origin.id = origin_id ORDER BY 1"
    )
    assert rows(earlier, labels) == [
        (1, "http://a", "1.200", "5"),
        (2, "", "1.100", "5"),
        (3, "", "", "5"),
        (4, "", "", "notes/5"),
        (5, "", "1.300", "5"),
    ]


def test_the_way_back_finds_every_row_as_it_was(earlier: Database) -> None:
    before = {name: rows(earlier, query) for name, query in TABLES.items()}

    earlier.upgrade()
    earlier.downgrade("0009")

    assert {name: rows(earlier, query) for name, query in TABLES.items()} == before
    earlier.upgrade()
