"""What a worker does with Label Studio between runs, alone, and what it tells when it fails."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import LINK, RASH, make_document
from fake_studio import FakeStudio, make_region
from housekeeper_world import SpyQueue, label, states, use_version
from sqlalchemy import update

from annotator.errors import ConfigError, StudioError
from annotator.jobs.housekeeper import Housekeeper
from annotator.live_settings import LiveSettings
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync.webhooks import receive_event
from annotator.settings import Settings, init_home, load_settings, write_secrets
from annotator.store.database import Database
from annotator.store.gold import count_gold
from annotator.store.inbox import count_events
from annotator.store.leases import take_lease
from annotator.store.projects import Project, audit_lines, link_studio
from annotator.store.tasks import count_tasks
from annotator.store.troubles import troubles
from db.tables import WebhookEventRow

# ------------------------------------------------------------------ Label Studio


def test_the_inbox_is_worked_off(
    database: Database, linked: Project, housekeeper: Housekeeper, studio: FakeStudio
) -> None:
    studio.annotate(studio.add_task(text=RASH), [make_region("a", 0, 7, "Drug", text=RASH)])
    with database.write() as session:
        for event in studio.events:
            receive_event(session, event)
    studio.down = True

    housekeeper.tend()

    with database.read() as session:
        assert count_gold(session, linked.id)["train"] == 1


def test_a_pull_is_made_at_the_start_and_when_it_is_time(
    database: Database, linked: Project, housekeeper: Housekeeper, studio: FakeStudio
) -> None:
    studio.add_task(text=RASH)
    housekeeper.tend()
    studio.add_task(text="Another note.")
    housekeeper.tend()
    with database.read() as session:
        before = count_tasks(session, linked.id)["open"]

    housekeeper.tend(True)

    with database.read() as session:
        assert (before, count_tasks(session, linked.id)["open"]) == (1, 2)


@pytest.mark.parametrize(
    "error", [StudioError("it is down"), ConfigError("no <Labels>")], ids=["down", "configuration"]
)
def test_a_pull_that_fails_does_not_stop_training(
    database: Database,
    linked: Project,
    housekeeper: Housekeeper,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr("annotator.jobs.housekeeper.reconcile", fail)
    label(database, linked, 3)

    housekeeper.tend()

    assert states(database, linked) == ["queued"]


def test_new_documents_are_published(
    database: Database,
    linked: Project,
    housekeeper: Housekeeper,
    queue: SpyQueue,
    studio: FakeStudio,
) -> None:
    ingest_documents(database, linked.id, [make_document()], role="pool", holdout_share=0.0, seed=1)
    housekeeper.tend()
    assert queue.n_published == 1

    housekeeper.publish()

    assert [len(one) for one in studio.imports] == [1]
    housekeeper.tend()
    assert queue.n_published == 1


def test_the_version_in_use_is_published(
    database: Database,
    linked: Project,
    housekeeper: Housekeeper,
    studio: FakeStudio,
    tiny_model: Path,
) -> None:
    use_version(database, linked, tiny_model)
    studio.add_task(text=RASH)
    housekeeper.tend(True)

    report = housekeeper.publish()

    assert report is not None
    assert (report.n_pushed, studio.model_version) == (1, "ward-1")
    studio.down = True
    assert housekeeper.publish() is None  # said in the log, done by the next one


# ------------------------------------------------------------------ one at a time


def test_while_one_tends_another_looks_again_every_two_seconds(
    database: Database,
    project: Project,
    housekeeper: Housekeeper,
    queue: SpyQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(100.0 + i / 10 for i in range(41))
    ticks = SimpleNamespace(monotonic=lambda: next(clock))
    monkeypatch.setattr("annotator.jobs.housekeeper.time", ticks)
    with database.write() as session:
        take_lease(session, "tend:ward", owner="host:2", lease_s=600)

    for _ in range(40):  # events of four seconds
        housekeeper.tend()

    assert queue.tended == [2.0, 2.0]


# ------------------------------------------------------------------ what fails is told


def troubles_of(database: Database, project: Project) -> dict[str, str]:
    with database.read() as session:
        return {one["part"]: one["problem"] for one in troubles(session, project.id)}


def test_a_pull_that_fails_is_told_with_its_reason_until_one_succeeds(
    database: Database, linked: Project, housekeeper: Housekeeper, studio: FakeStudio
) -> None:
    studio.down = True
    for _ in range(3):
        housekeeper.tend(pull=True)
    told = troubles_of(database, linked)
    with database.read() as session:
        n_lines = sum(line["action"] == "pull_state" for line in audit_lines(session, linked.id))
    studio.down = False
    housekeeper.tend(pull=True)

    assert told == {"pull": "Label Studio cannot be reached"}
    assert n_lines == 1
    assert troubles_of(database, linked) == {}


@pytest.mark.parametrize(
    ("sampling", "selected", "reason"),
    [
        ("Sequential sampling", "ward-1", "sampling is 'Sequential sampling'"),
        ("Uncertainty sampling", "annotator", "version 'annotator' is selected there, not ward-1"),
        ("Uncertainty sampling", "ward-1", None),
    ],
    ids=["sampling", "version", "ours"],
)
def test_an_order_that_is_not_ours_is_told_and_published_again(
    database: Database,
    linked: Project,
    housekeeper: Housekeeper,
    studio: FakeStudio,
    queue: SpyQueue,
    tiny_model: Path,
    sampling: str,
    selected: str,
    reason: str | None,
) -> None:
    use_version(database, linked, tiny_model)
    studio.sampling, studio.model_version = sampling, selected

    housekeeper.tend(pull=True)

    told = troubles_of(database, linked).get("order")
    assert (told is None) if reason is None else (reason in str(told))
    assert queue.n_published == (reason is not None)


def test_a_token_that_is_written_while_the_worker_runs_is_used(
    database: Database, linked: Project, settings: Settings, queue: SpyQueue, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free, database.write() as session:
        port = free.getsockname()[1]
        link_studio(session, linked.id, replace(LINK, host=f"http://127.0.0.1:{port}"))
    home = tmp_path / "ward"
    init_home(home, project=linked.name, unit="sentence", encoder="minilm")
    found = Housekeeper(
        LiveSettings(load_settings(home)),
        database,
        queue,
        "host:1",  # type: ignore[arg-type]
    )

    found.tend(pull=True)
    without = troubles_of(database, linked)["pull"]
    write_secrets(home, {"studio_token": "f" * 40})
    found.tend(pull=True)

    assert "run annotator connect again" in without
    assert "no connection" in troubles_of(database, linked)["pull"]  # nobody listens there


def test_handled_events_do_not_stay_for_ever(
    housekeeper: Housekeeper, database: Database, project: Project
) -> None:
    with database.write() as session:
        for number in (1, 2):
            receive_event(session, {"action": "MOON_ROSE", "project": {"id": number}})
    housekeeper.tend()
    with database.write() as session:
        old = datetime.now(UTC) - timedelta(days=40)
        session.execute(update(WebhookEventRow).values(received_at=old))

    housekeeper.tend()

    with database.read() as session:
        assert count_events(session)["ignored"] == 1  # the newest
