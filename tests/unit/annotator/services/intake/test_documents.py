from __future__ import annotations

from typing import Any

import pytest
from factories import RASH, make_document

from annotator.domain import Document, Entity
from annotator.errors import ConflictError
from annotator.services.intake.documents import IngestReport, draw_split, ingest_documents
from annotator.store.database import Database
from annotator.store.documents import count_documents, iter_documents
from annotator.store.gold import count_gold, gold_units
from annotator.store.projects import Project, current_schema


def ingest(
    database: Database, project: Project, *documents: Document, **options: Any
) -> IngestReport:
    given = {"role": "gold", "holdout_share": 0.0, "seed": 1, **options}
    return ingest_documents(database, project.id, documents, **given)


def splits(database: Database, project: Project) -> dict[str, str]:
    with database.read() as session:
        return {d.name: d.split for d in iter_documents(session, project.id)}


def test_an_import_may_be_repeated(database: Database, project: Project) -> None:
    documents = [make_document(f"d{i}") for i in range(3)]

    first = ingest(database, project, *documents)
    second = ingest(database, project, *documents)

    assert (first.n_documents, first.n_known, first.n_labelled) == (3, 0, 3)
    assert (first.n_sentences, first.n_entities, first.n_relations) == (3, 6, 3)
    assert (second.n_documents, second.n_known, second.n_labelled) == (0, 3, 0)
    with database.read() as session:
        assert count_gold(session, project.id) == {
            "train": 3,
            "holdout": 0,
            "in_bulk": 0,
            "skipped": 0,
        }


def test_corrected_labels_of_a_known_document_replace_its_gold(
    database: Database, project: Project
) -> None:
    ingest(database, project, make_document())
    corrected = make_document(
        entities=(Entity(id="e1", type="Effect", start=0, end=7),), relations=()
    )

    report = ingest(database, project, corrected)

    with database.read() as session:
        (unit,) = gold_units(session, project.id)
    assert (report.n_known, report.n_labelled) == (1, 1)
    assert unit.document.entities == corrected.entities


def test_labels_may_follow_a_pool_import(database: Database, project: Project) -> None:
    pool = ingest(database, project, make_document(), role="pool")
    gold = ingest(database, project, make_document())

    assert (pool.n_labelled, gold.n_known, gold.n_labelled) == (0, 1, 1)


def test_another_text_under_a_known_name_stops_the_import(
    database: Database, project: Project
) -> None:
    ingest(database, project, make_document("d1"))

    with pytest.raises(ConflictError, match="document d1"):
        ingest(database, project, make_document("d2"), make_document("d1", "Another text."))

    assert set(splits(database, project)) == {"d1"}


def test_chunks_before_the_one_that_fails_are_kept(database: Database, project: Project) -> None:
    seen: list[int] = []
    documents = [make_document(f"d{i}") for i in range(201)]

    with pytest.raises(ConflictError):
        ingest(
            database, project, *documents, make_document("d0", "Other."), on_progress=seen.append
        )

    assert seen == [200]
    with database.read() as session:
        assert count_documents(session, project.id) == {"train": 200, "holdout": 0}


def test_the_split_of_a_group_does_not_depend_on_order_or_company() -> None:
    groups = [f"g{i}" for i in range(400)]

    drawn = {g: draw_split(g, share=0.25, seed=3) for g in groups}
    again = {g: draw_split(g, share=0.25, seed=3) for g in reversed(groups)}

    assert drawn == again
    assert 70 <= sum(split == "holdout" for split in drawn.values()) <= 130
    assert drawn != {g: draw_split(g, share=0.25, seed=4) for g in groups}


def test_documents_of_one_group_stay_on_one_side(database: Database, project: Project) -> None:
    documents = [make_document(f"d{i}", group=f"g{i % 8}") for i in range(40)]

    ingest(database, project, *documents, holdout_share=0.5)

    found = splits(database, project)
    sides = [{found[f"d{i}"] for i in range(40) if i % 8 == g} for g in range(8)]
    assert {len(side) for side in sides} == {1}
    assert {"train", "holdout"} == set().union(*sides)


def test_hold_out_documents_are_all_held_out(database: Database, project: Project) -> None:
    report = ingest(database, project, make_document(), role="holdout")

    assert report.n_holdout == 1
    assert splits(database, project) == {"note-1": "holdout"}


def test_the_schema_learns_from_gold_and_not_from_the_pool(
    database: Database, project: Project
) -> None:
    dose = make_document("dose", RASH, entities=(Entity(id="e", type="Dose", start=0, end=7),))
    ingest(database, project, dose, role="pool")
    with database.read() as session:
        before = current_schema(session, project.id)
    ingest(database, project, dose)

    with database.read() as session:
        after = current_schema(session, project.id)
    assert before.entity_types == ("Drug", "Effect")
    assert after.entity_types == ("Drug", "Effect", "Dose")


def test_cuts_for_length_are_counted(database: Database, project: Project) -> None:
    endless = Document(id="endless", text="word " * 1_200)

    report = ingest(database, project, endless, make_document("short"), role="pool")

    assert (report.n_sentences, report.n_length_cuts) == (4, 2)
