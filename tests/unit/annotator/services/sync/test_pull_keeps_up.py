"""What a pull takes over from Label Studio, and what it does not lose where it is disturbed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import LINK, RASH
from fake_studio import FakeStudio, make_region
from reconcile_world import ours, theirs
from sqlalchemy.orm import Session
from tiny_bert import TINY_SCHEMA

from annotator.domain import Entity, Relation
from annotator.errors import ConflictError
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.corrections import compare_labels
from annotator.services.sync.pull import reconcile
from annotator.store.annotations import correction_totals, current_revision
from annotator.store.database import Database
from annotator.store.documents import hash_text, iter_documents
from annotator.store.groups import group_of
from annotator.store.projects import (
    Project,
    current_config_xml,
    current_schema,
    ensure_project,
    get_project,
    link_studio,
)

OTHER = "Ibuprofen helped with the pain."
RESULT = [make_region("a", 0, 7, "Drug", text=RASH)]
SPLIT = SplitRule(holdout_share=0.0, seed=1)


class Conflicting:
    """A database in which one of the writes clashes with somebody else's."""

    def __init__(self, database: Database, *, at: int) -> None:
        self._database, self._left = database, at

    def read(self) -> AbstractContextManager[Session]:
        return self._database.read()

    def write(self) -> AbstractContextManager[Session]:
        self._left -= 1
        if self._left == 0:
            raise ConflictError("somebody else wrote the same")
        return self._database.write()


@pytest.mark.parametrize("task", [1, 2, 3])
def test_a_task_that_clashed_is_named_and_looked_at_again(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, task: int
) -> None:
    for _ in range(3):
        studio.annotate(studio.add_task(text=f"{RASH} {studio.task_ids(1)}"), RESULT)
        studio.wait(hours=1)
    clashing: Any = Conflicting(database, at=1 + task)  # the configuration comes first

    report = reconcile(clashing, linked, studio, split=SPLIT)

    assert report.problems == ("somebody else wrote the same",)
    assert (report.n_tasks, report.n_news) == (3, 4)
    assert pull().problems == ()
    assert ours(database, linked) == theirs(studio)
    assert pull().n_tasks == 0


def test_a_configuration_that_no_event_told_of_is_taken_over_with_the_pairs_known(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.config_xml = studio.config_xml.replace(
        '<Label value="Effect"/>', '<Label value="Effect"/><Label value="Dose"/>'
    )

    pull()

    with database.read() as session:
        schema = current_schema(session, linked.id)
        assert current_config_xml(session, linked.id) == studio.config_xml
    assert schema is not None
    assert schema.entity_types == ("Drug", "Effect", "Dose")
    assert schema.pairs == TINY_SCHEMA.pairs


def test_the_first_configuration_of_a_project_is_taken_over(
    database: Database, studio: FakeStudio
) -> None:
    with database.write() as session:
        bare = ensure_project(session, name="bare", unit="sentence")
        link_studio(session, bare.id, LINK)
        bare = get_project(session, "bare")

    reconcile(database, bare, studio, split=SPLIT)

    with database.read() as session:
        schema = current_schema(session, bare.id)
    assert schema is not None
    assert (schema.entity_types, schema.pairs) == (("Drug", "Effect"), frozenset())


@pytest.mark.parametrize("parent", [1, {"id": 1}], ids=["id", "object"])
def test_what_an_annotation_changed_of_its_prediction_is_counted_by_a_pull(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, parent: Any
) -> None:
    task = studio.add_task(text=RASH)
    shown = [make_region("a", 0, 7, "Effect", text=RASH)]
    studio.push_predictions(
        1,
        [
            {"task": task, "model_version": "v1", "result": shown, "score": 0.5},
            {"task": task, "model_version": "v2", "result": RESULT, "score": 0.5},
        ],
    )
    studio.annotate(task, RESULT, parent_prediction=parent)

    pull()

    with database.read() as session:
        totals = correction_totals(session, linked.id)
        row = current_revision(session, linked.id, source="studio", external_id="1")
        assert row is not None
        assert row.parent_version == "v1"
    assert {name: n for name, n in totals.items() if n} == {"entities_relabelled": 1}


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "person by id": ({"completed_by": 5}, {"annotator": "5"}),
    "person as an object": ({"completed_by": {"id": 5}}, {"annotator": "5"}),
    "nobody": ({"completed_by": None}, {"annotator": None}),
    "whole seconds": ({"lead_time": 4}, {"lead_time_s": 4.0}),
    "time no number": ({"lead_time": True}, {"lead_time_s": None}),
    "time as a text": ({"lead_time": "4"}, {"lead_time_s": None}),
    "prediction by id": ({"parent_prediction": 3}, {"parent_prediction": 3}),
    "prediction no number": ({"parent_prediction": True}, {"parent_prediction": None}),
    "prediction as a text": ({"parent_prediction": "3"}, {"parent_prediction": None}),
    "starred": ({"ground_truth": True}, {"ground_truth": True}),
    "star null": ({"ground_truth": None}, {"ground_truth": False}),
    "skipped": ({"was_cancelled": True}, {"state": "skipped"}),
    "submitted": ({"was_cancelled": None}, {"state": "submitted"}),
    "told to be in bulk": ({"bulk_created": True}, {"bulk_created": True}),
    "copied by nobody": (
        {"parent_prediction": 3, "lead_time": None},
        {"bulk_created": True, "lead_time_s": None},
    ),
    "copied in no time": ({"parent_prediction": 3, "lead_time": 0.0}, {"bulk_created": True}),
    "copied by somebody": ({"parent_prediction": 3, "lead_time": 2.5}, {"bulk_created": False}),
    "made in no time": ({"lead_time": None}, {"bulk_created": False}),
    "copied in the editor": (
        {
            "parent_prediction": 3,
            "lead_time": None,
            "result": [{**RESULT[0], "origin": "prediction"}, RESULT[0] | {"id": "b"}],
        },
        {"bulk_created": False},
    ),
    "time without a zone": (
        {"updated_at": "2026-11-22T09:00:00"},
        {"created_at": datetime(2026, 11, 22, 9, tzinfo=UTC)},
    ),
    "time with a zone": (
        {"updated_at": "2026-11-22T09:00:00+02:00"},
        {"created_at": datetime(2026, 11, 22, 7, tzinfo=UTC)},
    ),
}


@pytest.mark.parametrize(("sent", "kept"), FIELDS.values(), ids=FIELDS)
def test_what_label_studio_says_of_an_annotation_is_kept(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Any,
    sent: dict[str, Any],
    kept: dict[str, Any],
) -> None:
    result = sent.get("result", RESULT)
    fields = {name: value for name, value in sent.items() if name != "result"}
    studio.annotate(studio.add_task(text=RASH), result, **fields)

    pull()

    with database.read() as session:
        row = current_revision(session, linked.id, source="studio", external_id="1")
        found = {name: getattr(row, name) for name in kept}
    assert found == kept


def test_an_annotation_without_a_time_is_of_now(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.annotate(studio.add_task(text=RASH), RESULT, updated_at=None)
    before = datetime.now(UTC)

    pull()

    with database.read() as session:
        row = current_revision(session, linked.id, source="studio", external_id="1")
        assert row is not None
        assert before <= row.created_at <= datetime.now(UTC)


def test_what_could_not_be_read_is_kept_with_the_annotation(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    wrong = make_region("a", 0, 7, "Gene", text=RASH)
    studio.annotate(studio.add_task(text=RASH), [wrong])

    pull()

    with database.read() as session:
        row = current_revision(session, linked.id, source="studio", external_id="1")
        assert row is not None
        assert (row.raw, row.issues) == (
            [wrong],
            [
                {
                    "kind": "unknown_label",
                    "region": "region a",
                    "message": "region a has the unknown label Gene",
                    "kept": True,
                }
            ],
        )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"doc_id": "note-1"}, "note-1"),
        ({"doc_id": "n" * 400}, "n" * 400),
        ({"doc_id": "n" * 401}, None),
        ({"doc_id": ""}, None),
        ({"doc_id": 7}, None),
        ({"doc_id": "note-1", "sent_start": 0}, None),
        ({}, None),
    ],
    ids=["named", "longest", "too long", "empty", "no text", "a sentence of no note", "unnamed"],
)
def test_a_new_text_has_the_name_it_came_with_or_that_of_its_task(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Any,
    data: dict[str, Any],
    name: str | None,
) -> None:
    studio.add_task(text=RASH, **data)

    assert pull().problems == ()

    with database.read() as session:
        names = [document.name for document in iter_documents(session, linked.id)]
    assert names == [name or f"studio-1-{hash_text(RASH)[:8]}"]


def test_two_tasks_of_one_note_share_its_document(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.add_task(text=RASH, doc_id="note-1")
    studio.add_task(text=RASH, doc_id="note-1")

    pull()

    with database.read() as session:
        names = [document.name for document in iter_documents(session, linked.id)]
    assert names == ["note-1"]
    assert len(ours(database, linked)) == 2


def test_an_edited_text_that_was_there_before_is_the_same_document(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    task = studio.add_task(text=RASH)
    for text in (OTHER, RASH, OTHER):
        pull()
        studio.edit_task(task, text=text)

    pull()

    with database.read() as session:
        texts = [document.text for document in iter_documents(session, linked.id)]
    assert sorted(texts) == sorted([RASH, OTHER])


def entity(name: str, start: int, type_: str = "Drug") -> Entity:
    return Entity(id=name, type=type_, start=start, end=start + 3)


def relation(head: str, tail: str) -> Relation:
    return Relation(type="causes", head=head, tail=tail)


def test_relations_of_removed_entities_are_each_removed() -> None:
    before = (
        [entity("a", 0), entity("b", 5), entity("c", 10)],
        [relation("a", "c"), relation("b", "c"), relation("c", "a"), relation("c", "b")],
    )

    counts = compare_labels(before, ([before[0][2]], []))

    assert (counts.entities_removed, counts.relations_removed) == (2, 4)


def test_a_relation_is_rebounded_with_either_of_its_ends() -> None:
    before = (
        [entity("a", 0), entity("b", 5), entity("c", 10)],
        [relation("a", "b"), relation("b", "c"), relation("a", "c")],
    )
    after = ([entity("a", 1), entity("b", 5), entity("c", 10)], before[1])

    counts = compare_labels(before, after)

    assert (counts.relations_rebounded, counts.relations_kept) == (2, 1)
    assert compare_labels(before, ([*before[0][:2], entity("c", 9)], before[1])) == counts


def test_an_entity_of_another_type_in_another_place_is_relabelled() -> None:
    counts = compare_labels(([entity("a", 0)], []), ([entity("a", 1, "Effect")], []))

    assert (counts.entities_relabelled, counts.entities_rebounded) == (1, 0)


def test_an_entity_drawn_again_elsewhere_or_as_another_type_is_removed_and_added() -> None:
    before = ([entity("a", 0), entity("b", 5)], [])

    counts = compare_labels(before, ([entity("x", 1), entity("y", 5, "Effect")], []))

    assert (counts.entities_kept, counts.entities_removed, counts.entities_added) == (0, 2, 2)


@pytest.mark.parametrize("parent", [3, {"id": 3}], ids=["id", "object"])
def test_an_event_names_its_prediction_by_id_or_as_an_object(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any, parent: Any
) -> None:
    studio.annotate(studio.add_task(text=RASH), RESULT, parent_prediction=parent)

    deliver()

    with database.read() as session:
        row = current_revision(session, linked.id, source="studio", external_id="1")
        assert row is not None
        assert row.parent_prediction == 3


def test_a_configuration_heard_of_during_a_pull_has_untouched_tasks_looked_at_again(
    database: Database, linked: Project, studio: FakeStudio, pull: Any, deliver: Any
) -> None:
    studio.add_task(text=RASH, note=OTHER)
    studio.wait(hours=1)
    studio.add_task(text=OTHER, note=RASH)
    studio.events.clear()  # no event names the tasks

    def configure(done: int) -> None:
        studio.configure(studio.config_xml.replace("$text", "$note"))
        deliver()

    pull(on_progress=configure)

    assert pull().n_tasks == 2
    assert ours(database, linked) == theirs(studio)


def test_an_edited_text_stays_in_the_group_of_what_it_was(
    database: Database, linked: Project, studio: FakeStudio, pull: Any
) -> None:
    task = studio.add_task(text=RASH)
    pull()
    studio.edit_task(task, text=OTHER)

    pull()

    with database.read() as session:
        groups = {group_of(session, one.id) for one in iter_documents(session, linked.id)}
    assert groups == {f"studio-1-{hash_text(RASH)[:8]}"}


def test_an_annotation_without_a_usable_id_is_named_by_its_task(
    linked: Project, studio: FakeStudio, pull: Any
) -> None:
    studio.annotate(studio.add_task(text=RASH), RESULT, id="7")

    assert pull().problems == ("task 1: an annotation without an integer id",)
