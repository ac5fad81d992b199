from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
from factories import at, make_annotation, make_document
from sqlalchemy import update
from tiny_bert import TINY_SCHEMA

from annotator.domain import Entity
from annotator.errors import ConflictError, NotFoundError
from annotator.services.intake.documents import store_document
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.inbox import (
    count_events,
    finish_event,
    latest_event_id,
    new_events,
    store_event,
)
from annotator.store.projects import Project
from annotator.store.runs import submit_run
from annotator.store.snapshots import get_snapshot, n_new_sentences, take_snapshot
from annotator.store.versions import (
    ModelVersion,
    StoredPrediction,
    activate_version,
    active_version,
    add_evaluation,
    add_version,
    get_version,
    list_versions,
    predictions_for,
    save_acquisitions,
    save_predictions,
    set_version_state,
    utilities,
)
from db.tables import ModelVersionRow


def make_version(
    database: Database,
    project: Project,
    name: str,
    members: Mapping[int, str] = MappingProxyType({}),
) -> ModelVersion:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        snapshot = take_snapshot(
            session, project.id, schema=TINY_SCHEMA, members=members, n_sentences=0
        )
        return add_version(
            session,
            project.id,
            name=name,
            folder=f"models/{name}",
            sha256="0" * 64,
            run_id=run.id,
            snapshot_id=snapshot.id,
        )


def make_prediction(text_hash: str, type: str = "Drug") -> StoredPrediction:
    return StoredPrediction(
        text_hash=text_hash,
        entities=[{"type": type, "start": 0, "end": 7, "score": 0.5}],
        relations=[],
        signals={"mnlp": 0.25},
        embedding=b"\x00\x3c",
    )


def test_a_run_that_resumed_finds_its_version(database: Database, project: Project) -> None:
    first = make_version(database, project, "v1")

    assert make_version(database, project, "v1") == first
    assert first.state == "candidate"


def test_one_version_is_active_and_the_one_before_retired(
    database: Database, project: Project
) -> None:
    versions = [make_version(database, project, name) for name in ("v1", "v2")]
    for version in versions:
        with database.write() as session:
            activate_version(session, project.id, version.id, provisional=False)

    with database.read() as session:
        assert active_version(session, project.id).name == "v2"
        assert [v.state for v in list_versions(session, project.id)] == ["active", "retired"]


def test_the_table_itself_refuses_a_second_active_version(
    database: Database, project: Project
) -> None:
    for name in ("v1", "v2"):
        make_version(database, project, name)

    with pytest.raises(ConflictError), database.write() as session:
        session.execute(update(ModelVersionRow).values(state="active"))


def test_activating_the_active_version_again_keeps_it(database: Database, project: Project) -> None:
    version = make_version(database, project, "v1")
    with database.write() as session:
        activate_version(session, project.id, version.id, provisional=True)
        activate_version(session, project.id, version.id, provisional=False)
        found = active_version(session, project.id)

    assert (found.state, found.provisional) == ("active", False)


def test_a_new_evaluation_replaces_the_one_of_its_split(
    database: Database, project: Project
) -> None:
    version = make_version(database, project, "v1")
    with database.write() as session:
        for f1 in (1.0, 2.0):
            add_evaluation(session, version.id, split="holdout", metrics={"f1": f1}, n_sentences=3)
        add_evaluation(session, version.id, split="dev", metrics={"f1": 9.0}, n_sentences=3)
        set_version_state(session, version.id, "held")
        found = get_version(session, project.id, "v1")

    assert found.metrics == {"holdout": {"f1": 2.0}, "dev": {"f1": 9.0}}
    assert found.state == "held"


def test_an_unknown_version_is_named(database: Database, project: Project) -> None:
    with pytest.raises(NotFoundError, match="no model version 'v9'"), database.read() as session:
        get_version(session, project.id, "v9")


def test_predictions_are_kept_by_text_and_version(database: Database, project: Project) -> None:
    v1, v2 = (make_version(database, project, name) for name in ("v1", "v2"))
    with database.write() as session:
        save_predictions(session, v1.id, [make_prediction("a"), make_prediction("b")] * 2)
        save_predictions(session, v1.id, [make_prediction("a", "Effect"), make_prediction("c")])
        save_predictions(session, v1.id, [])

        found = predictions_for(session, v1.id, ["a", "c", "x"])
        assert predictions_for(session, v2.id, ["a"]) == {}

    assert found == {"a": make_prediction("a"), "c": make_prediction("c")}


def test_many_predictions_are_found(database: Database, project: Project) -> None:
    version = make_version(database, project, "v1")
    hashes = [f"{i:064}" for i in range(1201)]
    with database.write() as session:
        save_predictions(session, version.id, [make_prediction(h) for h in hashes])

    with database.read() as session:
        assert set(predictions_for(session, version.id, hashes)) == set(hashes)


def test_utilities_are_replaced(database: Database, project: Project) -> None:
    version = make_version(database, project, "v1")
    with database.write() as session:
        document_id, _, _ = store_document(session, project.id, make_document(), split="train")
        for value in (0.5, 0.75):
            save_acquisitions(session, version.id, strategy="mnlp", utilities={1: value})
        found = utilities(session, version.id, strategy="mnlp", sentence_ids=[1, 2])

    assert (document_id, found) == (1, {1: 0.75})


# ------------------------------------------------------------------ snapshots


def label(database: Database, project: Project, name: str, **fields: object) -> None:
    with database.write() as session:
        document = make_document(name)
        stored, _, _ = store_document(session, project.id, document, split="train")
        given = {"external_id": name, **fields}
        record_annotation(session, make_annotation(project.id, stored, **given))


def snap(database: Database, project: Project) -> int:
    with database.write() as session:
        members = {u.annotation_id: u.split for u in gold_units(session, project.id)}
        return take_snapshot(
            session, project.id, schema=TINY_SCHEMA, members=members, n_sentences=1
        ).id


def test_a_snapshot_comes_back_as_it_was_taken(database: Database, project: Project) -> None:
    label(database, project, "a")
    with database.write() as session:
        taken = take_snapshot(
            session, project.id, schema=TINY_SCHEMA, members={1: "train"}, n_sentences=1
        )

    with database.read() as session:
        assert get_snapshot(session, taken.id) == taken


@pytest.mark.parametrize(
    ("members", "is_same"),
    [({1: "train", 2: "holdout"}, True), ({1: "train"}, False), ({1: "train", 2: "train"}, False)],
    ids=["same", "one less", "other split"],
)
def test_a_snapshots_digest_tells_what_it_holds(
    database: Database, project: Project, members: dict[int, str], is_same: bool
) -> None:
    label(database, project, "a")
    label(database, project, "b")
    with database.write() as session:
        digests = [
            take_snapshot(
                session, project.id, schema=TINY_SCHEMA, members=held, n_sentences=1
            ).digest
            for held in ({2: "holdout", 1: "train"}, members)
        ]

    assert (digests[0] == digests[1]) is is_same


def test_labels_since_the_last_version_are_new(database: Database, project: Project) -> None:
    label(database, project, "a")
    make_version(database, project, "v1", {1: "train"})
    with database.read() as session:
        none = n_new_sentences(session, project.id)
    label(database, project, "b")
    changed = (Entity(id="x", type="Drug", start=0, end=7),)
    label(database, project, "a", entities=changed, relations=(), raw=[], created_at=at(5))

    with database.read() as session:
        n_new, n_all, newest = n_new_sentences(session, project.id)

    assert none == (0, 1, None)
    assert (n_new, n_all) == (2, 2)
    assert newest is not None


def test_a_snapshot_of_which_no_version_came_uses_no_label_up(
    database: Database, project: Project
) -> None:
    label(database, project, "a")
    taken = snap(database, project)

    with database.read() as session:
        since_version = n_new_sentences(session, project.id)[:2]
        since_snapshot = n_new_sentences(session, project.id, beyond=taken)[:2]

    assert (since_version, since_snapshot) == ((1, 1), (0, 1))


def test_hold_out_labels_start_no_run(database: Database, project: Project) -> None:
    with database.write() as session:
        stored, _, _ = store_document(session, project.id, make_document(), split="holdout")
        record_annotation(session, make_annotation(project.id, stored))

        assert n_new_sentences(session, project.id) == (0, 0, None)


# ------------------------------------------------------------------ inbox


def test_an_event_is_kept_once_and_worked_off_in_order(database: Database) -> None:
    with database.write() as session:
        empty = latest_event_id(session)
        kept = [
            store_event(
                session, action="A", studio_project_id=1, dedupe_key=key, payload={"key": key}
            )
            for key in ("x", "y", "x")
        ]
        events = new_events(session, limit=10)
        finish_event(session, events[0].id, state="failed", error="because")

        assert [e.payload["key"] for e in new_events(session, limit=10)] == ["y"]
        assert count_events(session) == {"new": 1, "done": 0, "failed": 1, "ignored": 0}
        assert latest_event_id(session) > empty == 0
    assert kept == [True, True, False]
    assert [e.payload["key"] for e in events] == ["x", "y"]
