"""Every import can be undone, and nobody's work is lost by it."""

from __future__ import annotations

from typing import Any

import pytest
from factories import RASH, at, make_annotation, make_document
from sqlalchemy import func, select

from annotator.domain import Document, Entity
from annotator.errors import ConflictError, NotFoundError
from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import IntakeRules
from annotator.services.intake.undo import UndoReport, undo_import
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.documents import (
    count_documents,
    count_sentences,
    documents_without_task,
    find_document,
    sentences_without_task,
)
from annotator.store.gold import gold_units
from annotator.store.imports import imports_of
from annotator.store.projects import Project, current_schema
from db.tables import AnnotationRow

TEXT = "Codeine was stopped for nausea."
EMPTYING = IntakeRules(replace=True, empty_is_gold=True)


class Ward:
    def __init__(self, database: Database, project: Project) -> None:
        self.database, self.project = database, project

    def bring(
        self, role: Any, *documents: Document, rules: IntakeRules = EMPTYING, seed: int = 1
    ) -> int | None:
        return ingest_documents(
            self.database,
            self.project.id,
            documents,
            role=role,
            holdout_share=0.0,
            seed=seed,
            rules=rules,
        ).import_id

    def undo(self, import_id: int | None = None) -> UndoReport:
        return undo_import(self.database, self.project.id, import_id)

    def label(self, name: str, **fields: Any) -> None:
        """Somebody labels the document in Label Studio."""
        with self.database.write() as session:
            found = find_document(session, self.project.id, name)
            assert found is not None
            new = make_annotation(self.project.id, found.id, **{"created_at": at(9), **fields})
            record_annotation(session, new)

    def gold(self) -> dict[str, list[str]]:
        with self.database.read() as session:
            return {
                unit.source_document: [e.type for e in unit.document.entities]
                for unit in gold_units(session, self.project.id)
            }

    def pool(self) -> set[str]:
        """The documents that become tasks."""
        with self.database.read() as session:
            whole = documents_without_task(session, self.project.id, limit=99)
            parts = sentences_without_task(session, self.project.id, limit=99)
        assert {document.name for document in whole} == {part.document for part in parts}
        return {document.name for document in whole}


@pytest.fixture
def ward(database: Database, project: Project) -> Ward:
    return Ward(database, project)


def note(name: str = "n", *types: str, text: str = RASH) -> Document:
    entities = [Entity(id=t, type=t, start=i, end=i + 4) for i, t in enumerate(types)]
    return make_document(name, text, entities=tuple(entities))


def test_what_an_import_brought_is_gone_and_no_row_is(ward: Ward) -> None:
    ward.bring("gold", note("a", "Drug"), note("b", text=TEXT))

    report = ward.undo()

    assert (report.n_labels, report.n_restored, report.n_withdrawn, report.n_kept) == (2, 0, 2, 0)
    assert (ward.gold(), ward.pool()) == ({}, set())
    with ward.database.read() as session:
        assert count_documents(session, ward.project.id) == {"train": 0, "holdout": 0}
        assert count_sentences(session, ward.project.id) == 0
        states = session.scalars(select(AnnotationRow.state).order_by(AnnotationRow.id)).all()
    assert states == ["submitted", "submitted", "deleted", "deleted"]


def test_emptied_gold_comes_back(ward: Ward) -> None:
    ward.bring("gold", note("n", "Drug"))
    ward.bring("gold", note("n"))
    assert ward.gold() == {"n": []}

    report = ward.undo()

    assert (report.n_labels, report.n_restored, report.n_withdrawn) == (1, 1, 0)
    assert ward.gold() == {"n": ["Drug"]}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1)])
def test_imports_may_be_undone_in_any_order(ward: Ward, order: tuple[int, ...]) -> None:
    """After each step the newest import that stands decides."""
    types = ("Drug", "Effect", "Dose")
    ids = [ward.bring("gold", note("n", one)) for one in types]
    standing = dict(zip((1, 2, 3), types, strict=True))

    for which in order:
        ward.undo(ids[which - 1])
        del standing[which]

        assert ward.gold() == ({"n": [standing[max(standing)]]} if standing else {})


def test_labels_of_a_pool_document_go_and_the_document_stays(ward: Ward) -> None:
    ward.bring("pool", note("n"))
    ward.bring("gold", note("n", "Drug"))
    assert ward.pool() == set()

    ward.undo()

    assert (ward.gold(), ward.pool()) == ({}, {"n"})


def test_what_was_labelled_in_label_studio_since_stays(ward: Ward) -> None:
    ward.bring("gold", note("a", "Drug"), note("b", "Drug", text=TEXT))
    ward.label("a", external_id="7", document=note("a", "Effect"))

    report = ward.undo()

    assert ward.gold() == {"a": ["Effect"]}
    assert (report.n_labels, report.n_withdrawn, report.n_kept) == (2, 1, 1)


def test_a_document_that_two_imports_brought_goes_with_the_second(ward: Ward) -> None:
    pool, gold = ward.bring("pool", note("n")), ward.bring("gold", note("n", "Drug"))

    first = ward.undo(pool)
    between = ward.gold()
    second = ward.undo(gold)

    assert (first.n_kept, between, second.n_withdrawn) == (1, {"n": ["Drug"]}, 1)
    assert (ward.gold(), ward.pool()) == ({}, set())


@pytest.mark.parametrize("text", [RASH, TEXT], ids=["the same text", "another text"])
def test_a_withdrawn_document_may_come_again_under_its_name(ward: Ward, text: str) -> None:
    ward.bring("gold", note("n", "Drug"))
    ward.undo()

    again = ward.bring("gold", note("n", "Effect", text=text))

    assert again is not None
    assert ward.gold() == {"n": ["Effect"]}
    with ward.database.read() as session:
        found = find_document(session, ward.project.id, "n")
        assert count_documents(session, ward.project.id)["train"] == 1
    assert found is not None
    assert found.text == text
    ward.undo(again)
    assert (ward.gold(), ward.pool()) == ({}, set())


def test_types_without_labels_leave_the_schema_with_their_import(ward: Ward) -> None:
    ward.bring("gold", note("a", "Drug", "Durg"), note("b", "Dose", text=TEXT))
    ward.label("b", external_id="7", document=note("b", "Dose"))

    report = ward.undo()

    with ward.database.read() as session:
        schema = current_schema(session, ward.project.id)
    assert schema is not None
    assert (report.types, schema.entity_types) == (("Durg",), ("Drug", "Effect", "Dose"))


def test_an_undo_that_was_killed_is_run_again(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotator.services.intake.undo._CHUNK", 1)
    ward.bring("pool", note("other", text="Another text of this ward."))
    ward.bring("gold", note("a", "Drug"), note("b", "Drug", text=TEXT))

    def die(_done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        undo_import(ward.database, ward.project.id, on_progress=die)
    assert len(ward.gold()) == 1

    ward.undo()

    assert (ward.gold(), ward.pool()) == ({}, {"other"})


def test_an_import_that_brought_nothing_is_none(ward: Ward) -> None:
    first = ward.bring("gold", note("n", "Drug"))

    again = ward.bring("gold", note("n", "Drug"))

    assert (first is not None, again) == (True, None)
    with ward.database.read() as session:
        assert [one.id for one in imports_of(session, ward.project.id, limit=9)] == [first]


def test_an_import_that_failed_at_once_is_none_either(ward: Ward) -> None:
    ward.bring("pool", note("n"))

    with pytest.raises(ConflictError, match="document n"):
        ward.bring("gold", note("n", "Durg", text=TEXT))

    with ward.database.read() as session:
        schema = current_schema(session, ward.project.id)
        assert len(imports_of(session, ward.project.id, limit=9)) == 1
    assert schema is not None
    assert "Durg" not in schema.entity_types


def test_what_cannot_be_undone_is_named(ward: Ward) -> None:
    with pytest.raises(NotFoundError, match="no import to undo"):
        ward.undo()
    with pytest.raises(NotFoundError, match="no import 99"):
        ward.undo(99)
    first = ward.bring("gold", note("n", "Drug"))
    ward.undo()
    with pytest.raises(ConflictError, match=f"import {first} was undone at"):
        ward.undo(first)


def test_undoing_leaves_every_earlier_revision_as_it_was(ward: Ward) -> None:
    ward.bring("gold", note("n", "Drug"))
    ward.bring("gold", note("n", "Effect"))
    columns = [c for c in AnnotationRow.__table__.columns if c.name != "is_current"]

    def rows() -> list[tuple[Any, ...]]:
        with ward.database.read() as session:
            return [tuple(r) for r in session.execute(select(*columns).order_by(columns[0]))]

    before = rows()
    ward.undo()

    assert rows()[: len(before)] == before
    with ward.database.read() as session:
        assert session.scalar(select(func.count()).where(AnnotationRow.is_current)) == 1
