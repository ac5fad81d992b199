from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from factories import at, make_annotation, make_document
from tiny_bert import TINY_SCHEMA

from annotator.domain import Entity, Relation
from annotator.services.intake.documents import store_document
from annotator.store.annotations import mark_deleted, record_annotation
from annotator.store.database import Database
from annotator.store.gold import GoldUnit, count_gold, gold_units
from annotator.store.projects import Project
from annotator.store.snapshots import n_new_sentences, take_snapshot


def decide(
    database: Database, project: Project, document_id: int, external_id: str, **fields: Any
) -> None:
    with database.write() as session:
        new = make_annotation(project.id, document_id, external_id=external_id, **fields)
        record_annotation(session, new)


def gold(database: Database, project: Project, **options: Any) -> list[GoldUnit]:
    with database.read() as session:
        return list(gold_units(session, project.id, **options))


def one(type: str) -> dict[str, Any]:
    return {"entities": (Entity(id="x", type=type, start=0, end=7),), "relations": ()}


def types(units: list[GoldUnit]) -> list[list[str]]:
    return [[entity.type for entity in unit.document.entities] for unit in units]


def test_the_latest_decision_about_a_region_counts(
    database: Database, project: Project, document_id: int
) -> None:
    decide(database, project, document_id, "1", **one("Drug"), created_at=at(9))
    decide(database, project, document_id, "2", **one("Effect"), created_at=at(3))

    assert types(gold(database, project)) == [["Drug"]]


def test_a_ground_truth_star_outranks_time(
    database: Database, project: Project, document_id: int
) -> None:
    decide(database, project, document_id, "1", **one("Drug"), created_at=at(9))
    decide(
        database, project, document_id, "2", **one("Effect"), created_at=at(3), ground_truth=True
    )

    assert types(gold(database, project)) == [["Effect"]]


@pytest.mark.parametrize("state", ["skipped", "deleted"])
def test_only_submitted_labels_are_gold(
    database: Database, project: Project, document_id: int, state: str
) -> None:
    decide(database, project, document_id, "1", state=state)

    assert gold(database, project) == []


def test_a_deleted_annotation_leaves_the_other_one_of_its_region(
    database: Database, project: Project, document_id: int
) -> None:
    decide(database, project, document_id, "1", **one("Drug"))
    decide(database, project, document_id, "2", **one("Effect"), created_at=at(3))
    with database.write() as session:
        mark_deleted(session, project.id, external_id="2", at=at(5))

    assert types(gold(database, project)) == [["Drug"]]


def test_a_snapshot_reads_its_revisions_whatever_came_after(
    database: Database, project: Project, document_id: int
) -> None:
    decide(database, project, document_id, "1", **one("Drug"))
    before = gold(database, project)
    decide(database, project, document_id, "1", **one("Effect"), created_at=at(3))

    same = gold(database, project, ids=[unit.annotation_id for unit in before])

    assert same == before
    assert types(gold(database, project)) == [["Effect"]]


def test_a_region_has_offsets_of_its_own(
    database: Database, project: Project, document_id: int
) -> None:
    decide(
        database,
        project,
        document_id,
        "1",
        region=(8, 22),
        entities=(Entity(id="e", type="Effect", start=17, end=21),),
        relations=(),
    )

    (unit,) = gold(database, project)

    assert unit.document.id == "note-1@8"
    assert unit.document.mention(unit.document.entities[0]) == "rash"
    assert unit.document.meta["document"] == "note-1"
    assert unit.document.meta["sentences"] == [[0, 14]]


def test_what_the_model_cannot_express_is_kept(
    database: Database, project: Project, document_id: int
) -> None:
    entities = (
        Entity(id="a", type="Drug", start=0, end=7),
        Entity(id="a:2", type="Effect", start=0, end=7),
        Entity(id="b", type="Effect", start=3, end=18),
    )
    relations = (
        Relation(type=None, head="a", tail="b"),
        Relation(type="causes", head="b", tail="a", bidirectional=True),
    )
    decide(database, project, document_id, "1", entities=entities, relations=relations)

    (unit,) = gold(database, project)

    assert (unit.document.entities, unit.document.relations) == (entities, relations)


def test_a_document_with_its_labels_comes_back_as_it_went_in(
    database: Database, project: Project
) -> None:
    document = make_document("whole", tokens=[[0, 7], [8, 14]], group="g-1")
    with database.write() as session:
        stored, _, _ = store_document(session, project.id, document, split="train")
    decide(database, project, stored, "1", document=document)

    (unit,) = gold(database, project)

    assert replace(unit.document, meta={}) == replace(document, meta={})
    assert dict(unit.document.meta) == dict(document.meta)
    assert unit.group == "g-1"


def test_gold_is_counted_by_split(database: Database, project: Project, document_id: int) -> None:
    with database.write() as session:
        held, _, _ = store_document(session, project.id, make_document("h"), split="holdout")
    decide(database, project, document_id, "1")
    decide(database, project, held, "2")
    decide(database, project, held, "3", state="skipped")
    decide(database, project, held, "4", state="deleted")

    with database.read() as session:
        counts = count_gold(session, project.id)

    assert counts == {"train": 1, "holdout": 1, "in_bulk": 0, "skipped": 1}
    assert [unit.split for unit in gold(database, project, split="holdout")] == ["holdout"]


def test_many_labelled_regions_are_read_in_order(database: Database, project: Project) -> None:
    n = 1203
    with database.write() as session:
        document = make_document("long", text="word " * n)
        stored, _, _ = store_document(session, project.id, document, split="train")
        for i in range(n):
            new = make_annotation(
                project.id,
                stored,
                document=document,
                external_id=f"{i}",
                region=(5 * i, 5 * i + 4),
                entities=(Entity(id="e", type="Drug", start=5 * i, end=5 * i + 4),),
            )
            record_annotation(session, new)

    units = gold(database, project)

    assert [unit.region[0] for unit in units] == [5 * i for i in range(n)]
    assert {len(unit.document.entities) for unit in units} == {1}
    ids = [unit.annotation_id for unit in units]
    assert gold(database, project, ids=ids) == units


def test_a_region_that_two_people_labelled_counts_once_and_is_new_once(
    database: Database, project: Project, document_id: int
) -> None:
    decide(database, project, document_id, "1", **one("Drug"), created_at=at(9))
    decide(database, project, document_id, "2", **one("Effect"), created_at=at(3))
    with database.read() as session:
        (unit,) = gold_units(session, project.id)
        counts = count_gold(session, project.id)
        assert (counts["train"], counts["holdout"], counts["skipped"]) == (1, 0, 0)
        assert n_new_sentences(session, project.id)[:2] == (1, 1)

    with database.write() as session:
        members = {unit.annotation_id: "train"}
        taken = take_snapshot(
            session, project.id, schema=TINY_SCHEMA, members=members, n_sentences=1
        )

    with database.read() as session:
        assert n_new_sentences(session, project.id, beyond=taken.id) == (0, 1, None)
