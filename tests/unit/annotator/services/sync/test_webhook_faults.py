from __future__ import annotations

import contextlib
from typing import Any
from unittest.mock import DEFAULT, Mock

import pytest
from factories import RASH, STUDIO_PROJECT
from fake_studio import FakeStudio, make_region
from sqlalchemy import select

from annotator.errors import ConflictError, InputError, StoreError, TaskFormatError
from annotator.services.sync import webhooks
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.webhooks import InboxReport, process_inbox, receive_event
from annotator.store.database import Database
from annotator.store.inbox import count_events
from annotator.store.projects import Project
from annotator.store.tasks import find_task
from db.tables import WebhookEventRow

SPLIT = SplitRule(holdout_share=0.0, seed=1)
RESULT = [make_region("a", 0, 7, "Drug", text=RASH), make_region("b", 17, 21, "Effect", text=RASH)]


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


@pytest.mark.parametrize("payload", [{}, {"action": 5}, {"action": ""}, {"action": None}], ids=repr)
def test_an_event_without_action_is_refused(database: Database, payload: dict[str, Any]) -> None:
    with pytest.raises(TaskFormatError, match="action"), database.write() as session:
        receive_event(session, payload)


@pytest.mark.parametrize("action", ["START_TRAINING", "LABEL_LINK_CREATED", "x" * 500])
def test_an_unknown_action_is_kept_and_ignored(
    database: Database, linked: Project, action: str
) -> None:
    receive(database, {"action": action, "project": STUDIO_PROJECT})

    assert process(database, linked) == InboxReport(n_ignored=1)


OF_ANOTHER_SERVER = {"id": 1, "created_at": "2020-01-01T00:00:00.000000Z"}


@pytest.mark.parametrize("row", [{"id": 2}, {"id": "1"}, {}, None, OF_ANOTHER_SERVER], ids=repr)
def test_another_projects_event_is_ignored(
    database: Database, linked: Project, row: object
) -> None:
    receive(database, {"action": "TASKS_DELETED", "tasks": [{"id": 1}], "project": row})

    assert process(database, linked) == InboxReport(n_ignored=1)


def test_events_of_a_project_that_is_not_connected_are_ignored(
    database: Database, project: Project
) -> None:
    receive(database, {"action": "TASKS_DELETED", "tasks": [{"id": 1}], "project": STUDIO_PROJECT})

    assert process(database, project) == InboxReport(n_ignored=1)


MALFORMED = {
    "no annotation": {"action": "ANNOTATION_CREATED", "task": {"id": 1}},
    "annotation of no known task": {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": 1, "task": 5, "result": []},
        "task": {"id": 1, "data": {"text": RASH}},
    },
    "task without text": {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": 1, "task": 1, "result": []},
        "task": {"id": 1, "data": {}},
    },
    "result is no list": {
        "action": "ANNOTATION_UPDATED",
        "annotation": {"id": 1, "task": 1, "result": {"a": 1}},
        "task": {"id": 1, "data": {"text": RASH}},
    },
    "time is no time": {
        "action": "ANNOTATION_UPDATED",
        "annotation": {"id": 1, "task": 1, "result": [], "updated_at": "yesterday"},
        "task": {"id": 1, "data": {"text": RASH}},
    },
    "tasks are numbers": {"action": "TASKS_CREATED", "tasks": [1, 2]},
    "annotation id is a text": {
        "action": "ANNOTATION_CREATED",
        "annotation": {"id": "1", "task": 1, "result": []},
        "task": {"id": 1, "data": {"text": RASH}},
    },
    "configuration is no XML": {
        "action": "PROJECT_UPDATED",
        "project": {**STUDIO_PROJECT, "label_config": "<"},
    },
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_event_fails_and_is_not_lost(
    database: Database, linked: Project, event: dict[str, Any]
) -> None:
    receive(database, {"project": STUDIO_PROJECT, **event})

    assert process(database, linked) == InboxReport(n_failed=1)
    ((_, state, payload, error),) = stored(database)
    assert (state, payload["action"]) == ("failed", event["action"])
    assert error
    assert RASH not in error


@pytest.mark.parametrize("odd", ["\ud83d", "\x00"], ids=["half a pair", "null byte"])
def test_a_character_that_a_database_refuses_does_not_hold_up_the_next_event(
    database: Database, linked: Project, studio: FakeStudio, odd: str
) -> None:
    studio.add_task(text=f"broken {odd}")
    studio.add_task(text=RASH)
    with contextlib.suppress(InputError):  # PostgreSQL refuses it at the door
        receive(database, studio.events[0])
    receive(database, studio.events[1])

    assert process(database, linked).n_done >= 1  # SQLite takes null bytes
    assert process(database, linked) == InboxReport()
    with database.read() as session:
        assert find_task(session, linked.id, studio_id=2).text == RASH


def test_an_event_waits_where_the_database_fails(
    database: Database, linked: Project, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio.add_task(text=RASH)
    receive(database, *studio.events)

    def fail(*_arguments: object, **_options: object) -> None:
        raise StoreError("database: database is locked")

    with monkeypatch.context() as patch:
        patch.setattr("annotator.services.sync.webhooks.resolve_task", fail)
        with pytest.raises(StoreError):
            process(database, linked)

    with database.read() as session:
        assert count_events(session)["new"] == 1
    assert process(database, linked) == InboxReport(n_done=1)


@pytest.mark.parametrize(
    ("n_conflicts", "report"),
    [(2, InboxReport(n_done=1)), (9, InboxReport(n_failed=1))],
    ids=["for a moment", "for good"],
)
def test_an_event_in_conflict_with_another_writer_is_tried_again(
    database: Database,
    linked: Project,
    monkeypatch: pytest.MonkeyPatch,
    n_conflicts: int,
    report: InboxReport,
) -> None:
    conflict = ConflictError("another program wrote it first")
    resolve = Mock(wraps=webhooks.resolve_task, side_effect=[conflict] * n_conflicts + [DEFAULT])
    monkeypatch.setattr(webhooks, "resolve_task", resolve)
    task = {"id": 1, "data": {"text": RASH}}
    receive(database, {"action": "TASKS_CREATED", "tasks": [task], "project": STUDIO_PROJECT})

    assert process(database, linked) == report
