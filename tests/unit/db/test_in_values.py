from __future__ import annotations

import pytest
from sqlalchemy import select

from annotator.store.database import Database
from annotator.store.documents import NewDocument, add_documents
from annotator.store.projects import Project
from db.in_values import in_values
from db.tables import DocumentRow

NAMES = [f"n{i}" for i in range(40)] + ["it's", "{curly, list}", "NULL", "😀 é"]


@pytest.fixture
def ids(database: Database, project: Project) -> dict[str, int]:
    documents = [
        NewDocument(name=name, text=f"Of {name}.", split="train", meta={"é": [name]}, sentences=())
        for name in NAMES
    ]
    with database.write() as session:
        stored = add_documents(session, project.id, documents)
    assert [is_new for _, is_new in stored] == [True] * len(NAMES)
    return {name: number for name, (number, _) in zip(NAMES, stored, strict=True)}


@pytest.mark.parametrize("wanted", [[], NAMES[3:9], NAMES[-4:], ["missing"], ["n1", "n1", "x"]])
def test_each_row_of_a_wanted_key_is_found_once(
    database: Database, ids: dict[str, int], wanted: list[str]
) -> None:
    names = select(DocumentRow.name)
    numbers = [ids.get(name, 0) for name in wanted]
    for _ in range(8):  # PostgreSQL prepares what is asked a few times
        with database.read() as session:
            by_name = session.scalars(names.where(in_values(session, DocumentRow.name, wanted)))
            by_id = session.scalars(names.where(in_values(session, DocumentRow.id, numbers)))
            found = sorted(by_name), sorted(by_id)

    assert found == (sorted({*wanted} & {*ids}),) * 2


def test_documents_keep_their_names_and_what_is_said_of_them(
    database: Database, ids: dict[str, int]
) -> None:
    with database.read() as session:
        rows = session.scalars(select(DocumentRow)).all()
        found = {row.name: (row.id, row.text, row.meta) for row in rows}

    assert found == {name: (ids[name], f"Of {name}.", {"é": [name]}) for name in NAMES}
