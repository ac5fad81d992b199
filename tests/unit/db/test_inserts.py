from __future__ import annotations

import pytest
from sqlalchemy import select

from annotator.errors import ConflictError
from annotator.store.database import Database
from annotator.store.projects import Project
from db.inserts import insert_many
from db.tables import GroupAliasRow

NAMES = [
    "plain",
    "it's",
    'a "b"',
    "back\\slash",
    "{curly, list}",
    "",
    "NULL",
    "😀 é",
    "line\nbreak",
]


def test_many_rows_are_stored_as_they_are_given(database: Database, project: Project) -> None:
    rows = [{"project_id": project.id, "name": n, "group_key": n[::-1]} for n in NAMES]
    with database.write() as session:
        insert_many(session, GroupAliasRow, rows)
    with database.read() as session:
        found = session.execute(select(GroupAliasRow.name, GroupAliasRow.group_key)).all()

    assert sorted(tuple(row) for row in found) == sorted((n, n[::-1]) for n in NAMES)


def test_no_rows_are_no_statement(database: Database) -> None:
    with database.write() as session:
        insert_many(session, GroupAliasRow, [])


def test_many_rows_of_which_one_names_nothing_are_a_conflict(
    database: Database, project: Project
) -> None:
    rows = [
        {"project_id": number, "name": f"n{number}", "group_key": "g"}
        for number in (project.id, 404)
    ]

    with pytest.raises(ConflictError), database.write() as session:
        insert_many(session, GroupAliasRow, rows)
    with database.read() as session:
        assert session.scalars(select(GroupAliasRow.name)).all() == []
