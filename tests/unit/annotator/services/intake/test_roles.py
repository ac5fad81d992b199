"""What may become gold, what may measure, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from factories import RASH, make_document
from run_world import claim, ingest, make_note, register

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError, LabelError
from annotator.services.intake.documents import IngestReport, ingest_documents
from annotator.services.intake.roles import IntakeRules, UnknownType
from annotator.services.intake.undo import undo_import
from annotator.services.models.snapshot import plan_run
from annotator.store.database import Database
from annotator.store.documents import iter_documents
from annotator.store.gold import gold_units
from annotator.store.projects import Project, current_schema

STRICT, EMPTY = IntakeRules(strict=True), IntakeRules(empty_is_gold=True)


def bring(
    database: Database,
    project: Project,
    role: Any,
    *documents: Document,
    rules: IntakeRules | None = None,
    unread: Mapping[str, int] | None = None,
) -> IngestReport:
    return ingest_documents(
        database,
        project.id,
        documents,
        role=role,
        holdout_share=0.0,
        seed=1,
        rules=rules,
        unread=unread,
    )


def state(database: Database, project: Project) -> tuple[dict[str, str], dict[str, int]]:
    """The side of each document, and how many entities its gold has."""
    with database.read() as session:
        sides = {d.name: d.split for d in iter_documents(session, project.id)}
        units = list(gold_units(session, project.id))
    return sides, {unit.source_document: len(unit.document.entities) for unit in units}


def other(name: str = "note-1", type: str = "Drug") -> Document:
    return make_document(name, RASH, entities=(Entity(id="x", type=type, start=0, end=7),))


@pytest.mark.parametrize("copies", [0, 1], ids=["itself", "a near-duplicate"])
@pytest.mark.parametrize(
    ("first", "then", "side", "n_entities", "kept_out"),
    [
        ("pool", "gold", "train", 2, False),
        ("pool", "holdout", "holdout", 2, False),
        ("gold", "pool", "train", 2, False),
        ("gold", "holdout", "train", 2, True),
        ("holdout", "pool", "holdout", 2, False),
        ("holdout", "gold", "holdout", 2, False),
    ],
)
def test_a_document_changes_sides_only_where_nothing_has_been_learnt_from_it(
    database: Database,
    project: Project,
    copies: int,
    first: str,
    then: str,
    side: str,
    n_entities: int,
    kept_out: bool,
) -> None:
    second = replace(make_note(1), id="b", text=make_note(1).text + "!") if copies else make_note(1)
    bring(database, project, first, make_note(1))

    report = bring(database, project, then, second)

    sides, gold = state(database, project)
    assert set(sides.values()) == {side}
    assert report.kept_out == ((second.id,) if kept_out else ())
    assert set(gold.values()) == {n_entities}
    assert (second.id in sides) is not (kept_out and bool(copies))


def test_labels_that_are_kept_out_of_the_hold_out_are_not_learnt_from_either(
    database: Database, project: Project
) -> None:
    bring(database, project, "gold", make_document())

    report = bring(database, project, "holdout", other())

    assert (report.kept_out, report.n_labelled) == (("note-1",), 0)
    assert state(database, project) == ({"note-1": "train"}, {"note-1": 2})


@pytest.mark.parametrize(("is_trained", "side"), [(True, "train"), (False, "holdout")])
def test_text_that_was_trained_on_never_measures_even_if_its_labels_are_gone(
    database: Database, project: Project, is_trained: bool, side: str
) -> None:
    ingest(database, project, 0, 6)
    mistaken = bring(database, project, "gold", make_document())
    if is_trained:
        plan_run(database, project.id, claim(database, project))
    undo_import(database, project.id, mistaken.import_id)

    report = bring(database, project, "holdout", make_document())

    assert report.kept_out == (("note-1",) if is_trained else ())
    assert state(database, project)[0]["note-1"] == side


def test_what_may_be_related_is_learnt_from_training_gold_alone(
    database: Database, project: Project
) -> None:
    text = "Rash came before codeine."
    reverse = make_document(
        "held",
        text,
        entities=(
            Entity(id="e", type="Effect", start=0, end=4),
            Entity(id="d", type="Dose", start=17, end=24),
        ),
        relations=(
            Relation(type="causes", head="e", tail="d"),
            Relation(type="follows", head="e", tail="d"),
        ),
    )
    ingest(database, project, 0, 6)
    bring(database, project, "holdout", reverse)

    schema = plan_run(database, project.id, claim(database, project)).snapshot.schema

    assert schema.pairs == {("causes", "Drug", "Effect")}
    assert {"Dose", "follows"} <= {*schema.entity_types, *schema.relation_types}
    assert schema.allows("follows", head="Effect", tail="Dose")


BARE = make_document("bare", "Nothing of note was found.")


@pytest.mark.parametrize("role", ["gold", "holdout"])
@pytest.mark.parametrize(
    ("documents", "unread", "rules", "error"),
    [
        ([], {}, EMPTY, "no documents"),
        ([BARE], {}, None, "not one label"),
        ([BARE], {}, IntakeRules(replace=True), "not one label"),
        ([BARE], {"bare": 3}, EMPTY, "no document with labels of which all could be read"),
        ([BARE, make_document()], {"bare": 3}, STRICT, "labels of 1 documents .*bare"),
        ([make_document(), other("b", "Durg")], {}, STRICT, "Durg .1 labels, like the known Drug"),
    ],
    ids=["empty", "no label", "to replace", "none read", "some not read", "a typo"],
)
def test_what_would_be_empty_gold_is_refused_and_nothing_is_stored(
    database: Database,
    project: Project,
    role: str,
    documents: list[Document],
    unread: dict[str, int],
    rules: IntakeRules | None,
    error: str,
) -> None:
    with pytest.raises(InputError, match=error):
        bring(database, project, role, *documents, rules=rules, unread=unread)

    assert state(database, project) == ({}, {})


def test_people_may_say_that_they_found_nothing(database: Database, project: Project) -> None:
    report = bring(database, project, "gold", BARE, rules=EMPTY)

    assert (report.n_labelled, report.n_empty) == (1, 1)
    assert state(database, project)[1] == {"bare": 0}


def test_a_document_without_labels_in_a_labelled_corpus_is_gold_and_counted(
    database: Database, project: Project
) -> None:
    report = bring(database, project, "gold", BARE, make_document())

    assert (report.n_labelled, report.n_empty) == (2, 1)


@pytest.mark.parametrize(("role", "side"), [("gold", "train"), ("holdout", "holdout")])
def test_a_document_with_unread_labels_comes_to_the_pool(
    database: Database, project: Project, role: str, side: str
) -> None:
    read, part = make_document(), other("part")

    report = bring(database, project, role, read, part, unread={"part": 1, "of another file": 2})

    assert report.unread == ("part",)
    assert state(database, project) == ({"note-1": side, "part": side}, {"note-1": 2})


def test_gold_is_left_alone_by_labels_that_could_not_be_read(
    database: Database, project: Project
) -> None:
    bring(database, project, "gold", make_document())

    bring(database, project, "gold", make_note(1), other(), unread={"note-1": 1})

    assert state(database, project)[1] == {"note-1": 2, "n1": 2}


@pytest.mark.parametrize(
    ("replace", "n_entities", "not_emptied"), [(False, 2, ("note-1",)), (True, 0, ())]
)
def test_gold_is_emptied_only_where_that_is_asked(
    database: Database,
    project: Project,
    replace: bool,
    n_entities: int,
    not_emptied: tuple[str, ...],
) -> None:
    bring(database, project, "gold", make_document())
    rules = IntakeRules(replace=replace, empty_is_gold=True)

    report = bring(database, project, "gold", make_document(entities=()), rules=rules)

    assert report.not_emptied == not_emptied
    assert state(database, project)[1] == {"note-1": n_entities}


@pytest.mark.parametrize("role", ["gold", "holdout"])
def test_types_that_are_new_to_the_project_are_named(
    database: Database, project: Project, role: str
) -> None:
    new = (other("a", "Durg"), other("b", "Durg"), other("c", "Zyx"), other("d"))

    report = bring(database, project, role, *new)

    assert report.unknown_types == (
        UnknownType(name="Durg", n=2, nearest="Drug"),
        UnknownType(name="Zyx", n=1, nearest=None),
    )


def test_a_hold_out_with_types_that_no_model_can_know_is_refused_once_there_is_a_model(
    database: Database, project: Project, tiny_model: Any
) -> None:
    register(database, project, tiny_model)

    with pytest.raises(LabelError, match=r"Durg .* first import gold with these types"):
        bring(database, project, "holdout", other("a", "Durg"))

    with database.read() as session:
        schema = current_schema(session, project.id)
    assert schema is not None
    assert "Durg" not in schema.entity_types


def test_an_import_names_documents_of_which_other_labels_differ(
    database: Database, project: Project
) -> None:
    bring(database, project, "gold", make_document("old"), make_note(1))

    report = bring(database, project, "gold", other("new"), make_note(2))

    assert report.contradicting == ("new",)
