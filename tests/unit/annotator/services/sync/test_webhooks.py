from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from factories import LINK, RASH, STUDIO_PROJECT, TINY_CONFIG_XML
from fake_studio import FakeStudio, make_link, make_region
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from tiny_bert import TINY_SCHEMA

from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.pull import reconcile
from annotator.services.sync.webhooks import InboxReport, process_inbox, receive_event
from annotator.store.annotations import current_revision
from annotator.store.database import Database
from annotator.store.documents import hash_text
from annotator.store.gold import gold_units
from annotator.store.projects import (
    Project,
    StudioLink,
    current_config_xml,
    ensure_project,
    get_project,
    link_studio,
    save_schema,
)
from annotator.store.tasks import count_tasks, find_task
from db.tables import WebhookEventRow

SPLIT = SplitRule(holdout_share=0.0, seed=1)
RESULT = [make_region("a", 0, 7, "Drug", text=RASH), make_region("b", 17, 21, "Effect", text=RASH)]


@pytest.fixture(scope="module")
def recorded(repository: Path) -> list[dict[str, Any]]:
    """What a Label Studio 1.23.2 sent, from the first import to the choice of a version."""
    file = repository / "tests" / "contract" / "recorded" / "inbox_events.json"
    return [one["body"] for one in json.loads(file.read_text(encoding="utf-8"))]


@pytest.fixture
def recorded_project(
    database: Database, project: Project, recorded: list[dict[str, Any]]
) -> Project:
    """A project connected to the Label Studio of the recording."""
    with database.write() as session:
        link_studio(
            session, project.id, StudioLink(host="http://ls", key="1.1795333539", project_id=1)
        )
    linked = read_project(database)
    receive(database, {"action": "PROJECT_UPDATED", "project": recorded[0]["project"]})
    process(database, linked)
    return linked


def read_project(database: Database) -> Project:
    with database.read() as session:
        return get_project(session, "ward")


def receive(database: Database, *events: dict[str, Any]) -> list[bool]:
    kept = []
    for event in events:
        with database.write() as session:
            kept.append(receive_event(session, event))
    return kept


def process(database: Database, project: Project) -> InboxReport:
    return process_inbox(database, project, split=SPLIT)


def stored(database: Database) -> list[tuple[str, str, Any, str | None]]:
    with database.read() as session:
        rows = session.scalars(select(WebhookEventRow).order_by(WebhookEventRow.id))
        return [(row.action, row.state, row.payload, row.error) for row in rows]


def gold(database: Database, project: Project) -> list[tuple[str, list[str], int]]:
    with database.read() as session:
        return [
            (
                unit.source_document,
                [unit.document.mention(e) for e in unit.document.entities],
                len(unit.document.relations),
            )
            for unit in gold_units(session, project.id)
        ]


def state_of(database: Database, project: Project, studio_id: int) -> str:
    with database.read() as session:
        return find_task(session, project.id, studio_id=studio_id).state


# ------------------------------------------------------------------ a recorded day


def test_a_recorded_day_ends_in_the_state_of_label_studio(
    database: Database, recorded_project: Project, recorded: list[dict[str, Any]]
) -> None:
    receive(database, *recorded)
    report = process(database, recorded_project)

    assert report == InboxReport(n_done=len(recorded))
    with database.read() as session:
        counts = count_tasks(session, recorded_project.id)
        first = current_revision(session, recorded_project.id, source="studio", external_id="1")
        assert (first.state, first.revision) == ("deleted", 3)
    # Task 7 was made, deleted, and its id given to another one.
    assert counts == {"open": 4, "labelled": 2, "skipped": 1, "deleted": 1}
    assert state_of(database, recorded_project, 7) == "open"
    assert len(gold(database, recorded_project)) == 2


def test_events_processed_one_by_one_end_the_same(
    database: Database, recorded_project: Project, recorded: list[dict[str, Any]]
) -> None:
    for event in recorded:
        receive(database, event)
        process(database, recorded_project)

    with database.read() as session:
        counts = count_tasks(session, recorded_project.id)
    assert counts == {"open": 4, "labelled": 2, "skipped": 1, "deleted": 1}


def test_a_skipped_task_is_not_gold_although_it_carries_predictions(
    database: Database, recorded_project: Project, recorded: list[dict[str, Any]]
) -> None:
    skip = recorded[3]
    assert (skip["annotation"]["was_cancelled"], len(skip["annotation"]["result"])) == (True, 5)

    receive(database, skip)
    process(database, recorded_project)

    assert state_of(database, recorded_project, 3) == "skipped"
    assert gold(database, recorded_project) == []


def test_secrets_of_the_project_row_are_not_kept(
    database: Database, recorded: list[dict[str, Any]]
) -> None:
    receive(database, *recorded)

    kept = json.dumps([payload for _, _, payload, _ in stored(database)])
    assert "lactic acidosis" in kept
    found = [word for word in ("invite-secret", "storage-user", "storage-secret") if word in kept]
    assert found == []


@pytest.mark.parametrize("row", [None, [{"token": "invite-secret"}], "x"], ids=repr)
def test_a_project_of_another_shape_leaks_no_secret_either(database: Database, row: object) -> None:
    receive(database, {"action": "PROJECT_UPDATED", "project": row})

    assert "invite-secret" not in json.dumps([row[2] for row in stored(database)])


# ------------------------------------------------------------------ duplicates


def test_an_event_sent_twice_is_kept_once(
    database: Database, recorded: list[dict[str, Any]]
) -> None:
    updated = [e for e in recorded if e["action"].startswith("ANNOTATION_")]

    assert receive(database, *updated) == [True] * len(updated)
    assert receive(database, *updated) == [False] * len(updated)


@pytest.mark.parametrize(
    "event",
    [
        {"action": "TASKS_DELETED", "tasks": [{"id": 7}], "project": STUDIO_PROJECT},
        {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 7}], "project": STUDIO_PROJECT},
        {"action": "PROJECT_UPDATED", "project": STUDIO_PROJECT},
    ],
    ids=lambda event: event["action"],
)
def test_an_event_without_a_time_is_never_a_repeat(
    database: Database, event: dict[str, Any]
) -> None:
    # Label Studio gives the id of a deleted task again, and that one may be deleted too.
    assert receive(database, event, event) == [True, True]


def test_the_same_annotation_at_another_time_is_another_event(
    database: Database, recorded: list[dict[str, Any]]
) -> None:
    first = next(e for e in recorded if e["action"] == "ANNOTATION_UPDATED")
    second = copy.deepcopy(first)
    second["annotation"]["updated_at"] = "2026-11-23T00:00:00.000000Z"

    assert receive(database, first, second) == [True, True]


# ------------------------------------------------------------------ people at work


def test_a_submitted_annotation_is_gold_with_its_relations(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    studio.annotate(task, [*RESULT, make_link("a", "b", "causes")])

    assert deliver() == InboxReport(n_done=2)
    assert gold(database, linked)[0][1:] == (["Aspirin", "rash"], 1)
    assert state_of(database, linked, task) == "labelled"


def test_a_deleted_annotation_opens_its_task_again(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    annotation = studio.annotate(task, RESULT)
    deliver()
    studio.delete_annotation(annotation)
    deliver()

    assert gold(database, linked) == []
    assert state_of(database, linked, task) == "open"


def test_events_about_a_deleted_task_do_not_bring_it_back(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any
) -> None:
    task = studio.add_task(text=RASH)
    annotation = studio.annotate(task, RESULT)
    late = copy.deepcopy(studio.events[-1])
    deliver()
    studio.delete_task(task)
    studio.events.append(
        {
            "action": "ANNOTATIONS_DELETED",
            "annotations": [{"id": annotation}],
            "project": STUDIO_PROJECT,
        }
    )
    late["annotation"]["updated_at"] = "2026-12-01T00:00:00Z"
    studio.events.append(late)
    deliver()

    assert state_of(database, linked, task) == "deleted"


def test_a_new_configuration_is_used_for_the_events_after_it(
    database: Database, linked: Project, studio: FakeStudio, deliver: Any
) -> None:
    studio.config_xml = studio.config_xml.replace("$text", "$note")
    studio.select_version(1, "v1")
    task = studio.add_task(note=RASH)

    assert deliver() == InboxReport(n_done=2)
    with database.read() as session:
        assert current_config_xml(session, linked.id) == studio.config_xml
    assert state_of(database, linked, task) == "open"


@given(order=st.permutations(range(5)), times=st.integers(1, 5))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_events_in_any_order_and_a_pull_end_in_the_state_of_label_studio(
    order: Sequence[int],
    times: int,
    empty_sqlite: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("order") / "annotator.db"
    shutil.copy(empty_sqlite, file)
    database, studio = Database(f"sqlite:///{file}"), FakeStudio()
    with database.write() as session:
        made = ensure_project(session, name="ward", unit="sentence")
        save_schema(session, made.id, TINY_SCHEMA, config_xml=TINY_CONFIG_XML)
        link_studio(session, made.id, LINK)
    project = read_project(database)
    task = studio.add_task(text=RASH)
    kept = studio.annotate(task, RESULT)
    studio.update(kept, RESULT[:1])
    gone = studio.annotate(task, RESULT)
    studio.delete_annotation(gone)

    receive(database, *[studio.events[i] for i in order] * times)
    process(database, project)
    reconcile(database, project, studio, split=SPLIT)

    found = (gold(database, project), state_of(database, project, task))
    with database.read() as session:
        row = current_revision(session, project.id, source="studio", external_id=f"{gone}")
        found = (*found, row is None or row.state)
    database.close()
    assert found in [
        ([(f"studio-1-{hash_text(RASH)[:8]}", ["Aspirin"], 0)], "labelled", state)
        for state in (True, "deleted")
    ]
