from __future__ import annotations

import socket
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import LINK, RASH, make_document
from fake_studio import FakeStudio, make_region
from shifted_times import shift_times
from sqlalchemy import update
from tiny_bert import TINY_SCHEMA

from annotator.errors import ConfigError, StudioError
from annotator.jobs.housekeeper import Housekeeper
from annotator.jobs.leases import hold_lease
from annotator.jobs.presence import workers_alive
from annotator.live_settings import LiveSettings
from annotator.model import checkpoint_sha256
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync.webhooks import receive_event
from annotator.settings import Settings, init_home, load_settings, write_secrets
from annotator.store.database import Database
from annotator.store.gold import count_gold
from annotator.store.inbox import count_events
from annotator.store.leases import take_lease
from annotator.store.projects import Project, audit_lines, link_studio
from annotator.store.runs import (
    cancel_run,
    claim_run,
    finish_run,
    list_runs,
    set_snapshot,
    submit_run,
)
from annotator.store.snapshots import take_snapshot
from annotator.store.tasks import count_tasks
from annotator.store.troubles import troubles
from annotator.store.versions import activate_version, add_version
from db.tables import LeaseRow, TrainingRunRow, WebhookEventRow


@dataclass
class SpyQueue:
    """Remembers what it was asked."""

    submitted: list[int] = field(default_factory=list)
    tended: list[float] = field(default_factory=list)
    n_published: int = 0

    def submit(self, run_id: int) -> None:
        self.submitted.append(run_id)

    def tend(self, delay_s: float = 0.0) -> None:
        self.tended.append(delay_s)

    def publish(self) -> None:
        self.n_published += 1


@pytest.fixture
def queue() -> SpyQueue:
    return SpyQueue()


@pytest.fixture
def studio() -> FakeStudio:
    return FakeStudio()


@pytest.fixture
def housekeeper(
    settings: Settings,
    database: Database,
    project: Project,
    queue: SpyQueue,
    studio: FakeStudio,
    monkeypatch: pytest.MonkeyPatch,
) -> Housekeeper:
    """The housekeeper of a project that trains after three labels, with ``studio`` for a client."""
    quick = settings.model_copy(update={"retrain_after": 3, "debounce_s": 0.0})
    made = Housekeeper(LiveSettings(quick), database, queue, "host:1")  # type: ignore[arg-type]
    monkeypatch.setattr(made, "client", lambda _project: nullcontext(studio))
    return made


@pytest.fixture
def linked(database: Database, project: Project) -> Project:
    with database.write() as session:
        link_studio(session, project.id, LINK)
    return project


def label(database: Database, project: Project, n: int, first: int = 0) -> None:
    ingest_documents(
        database,
        project.id,
        [make_document(f"d{first + i}") for i in range(n)],
        role="gold",
        holdout_share=0.0,
        seed=1,
    )


def states(database: Database, project: Project) -> list[str]:
    with database.read() as session:
        return [run.state for run in list_runs(session, project.id)]


def use_version(database: Database, project: Project, folder: Path) -> None:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        snapshot = take_snapshot(session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0)
        version = add_version(
            session,
            project.id,
            name="ward-1",
            folder=str(folder),
            sha256=checkpoint_sha256(folder),
            run_id=run.id,
            snapshot_id=snapshot.id,
        )
        activate_version(session, project.id, version.id, provisional=False)


def start_run(database: Database, project: Project, *, has_snapshot: bool) -> int:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner="host:2", lease_s=60)
        if has_snapshot:
            snapshot = take_snapshot(
                session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0
            )
            set_snapshot(session, run.id, snapshot.id)
    return run.id


# ------------------------------------------------------------------ runs


def test_enough_labels_start_a_run_once(
    database: Database, project: Project, housekeeper: Housekeeper, queue: SpyQueue
) -> None:
    label(database, project, 2)
    housekeeper.tend()
    assert states(database, project) == []
    label(database, project, 1, first=2)

    housekeeper.tend()
    housekeeper.tend()

    assert states(database, project) == ["queued"]
    assert queue.submitted == [1, 1]  # said again until somebody claims it


@pytest.mark.parametrize(
    ("has_snapshot", "expected"),
    [(False, ["running"]), (True, ["queued", "running"])],
    ids=["will see the labels", "has not seen them"],
)
def test_labels_that_a_run_under_way_will_see_start_no_other(
    database: Database,
    project: Project,
    housekeeper: Housekeeper,
    queue: SpyQueue,
    has_snapshot: bool,
    expected: list[str],
) -> None:
    start_run(database, project, has_snapshot=has_snapshot)
    label(database, project, 5)

    housekeeper.tend()

    assert states(database, project) == expected
    assert queue.submitted == []


def test_labels_that_still_come_in_are_looked_at_again(
    database: Database, project: Project, housekeeper: Housekeeper, queue: SpyQueue
) -> None:
    housekeeper.live = LiveSettings(housekeeper.settings.model_copy(update={"debounce_s": 30.0}))
    label(database, project, 3)

    housekeeper.tend()

    assert states(database, project) == []
    assert [0 < delay <= 30.1 for delay in queue.tended] == [True]


def end_run(database: Database, project: Project, state: str) -> None:
    """Do the run that waits, to no result."""
    with database.write() as session:
        run = list_runs(session, project.id, limit=1)[0]
        claim_run(session, run.id, owner="host:2", lease_s=60)
        snapshot = take_snapshot(session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0)
        set_snapshot(session, run.id, snapshot.id)
        finish_run(session, run.id, owner="host:2", state=state, error="no room")


@pytest.mark.parametrize("state", ["failed", "cancelled"])
@pytest.mark.parametrize("by_s", [0, 86_400], ids=["", "the clock was ahead when it ended"])
def test_a_run_without_a_result_is_tried_again_when_a_label_comes(
    database: Database, project: Project, housekeeper: Housekeeper, state: str, by_s: float
) -> None:
    label(database, project, 5)
    housekeeper.tend()
    end_run(database, project, state)
    if not by_s:
        housekeeper.tend()
        assert states(database, project) == [state]
    shift_times(database, by_s)

    label(database, project, 1, first=5)
    housekeeper.tend()

    assert states(database, project) == ["queued", state]


def test_each_further_run_without_a_result_waits_for_twice_as_many_labels_up_to_enough(
    database: Database, project: Project, housekeeper: Housekeeper
) -> None:
    label(database, project, 5)
    housekeeper.tend()
    came = []
    for first in range(5, 16):
        if states(database, project)[0] == "queued":
            came.append(first - 5)
            end_run(database, project, "failed")
        label(database, project, 1, first=first)
        housekeeper.tend()

    assert came == [0, 1, 3, 6, 9]  # 1, 2, then the three that start any run


def test_a_queued_run_that_was_cancelled_does_not_come_back_by_itself(
    database: Database, project: Project, housekeeper: Housekeeper
) -> None:
    label(database, project, 5)
    housekeeper.tend()
    with database.write() as session:
        cancel_run(session, 1)

    housekeeper.tend()

    assert states(database, project) == ["cancelled"]


def test_a_night_of_cron_is_not_skipped_for_a_run_whose_time_lies_ahead(
    database: Database, project: Project, housekeeper: Housekeeper
) -> None:
    label(database, project, 1)
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner="host:2", lease_s=60)
        finish_run(session, run.id, owner="host:2", state="held")
    nightly = housekeeper.settings.model_copy(update={"retrain_cron": "0 3 * * *"})
    housekeeper.live = LiveSettings(nightly)
    shift_times(database, 86_400)

    housekeeper.tend()

    assert states(database, project) == ["queued", "held"]


def test_a_run_whose_worker_fell_silent_is_queued_again(
    database: Database, project: Project, housekeeper: Housekeeper, queue: SpyQueue
) -> None:
    run_id = start_run(database, project, has_snapshot=True)
    past = datetime.now(UTC) - timedelta(seconds=1)
    with database.write() as session:
        session.execute(update(TrainingRunRow).values(lease_until=past))

    housekeeper.tend()

    assert queue.submitted == [run_id]


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


def test_two_threads_of_one_worker_never_hold_one_lease(database: Database) -> None:
    held: list[bool] = []

    def work() -> None:
        with hold_lease(database, "publish:ward", owner="host:1", lease_s=3) as mine:
            held.append(mine is not None)
            time.sleep(0.3)

    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]

    assert sorted(held) == [False, False, True]


def test_a_lease_lives_as_long_as_its_block_and_no_longer(database: Database) -> None:
    with hold_lease(database, "publish:ward", owner="host:1", lease_s=0.3) as mine:
        time.sleep(0.7)
        with hold_lease(database, "publish:ward", owner="host:2", lease_s=0.3) as other:
            assert (mine is None, other is None) == (False, True)

    with hold_lease(database, "publish:ward", owner="host:2", lease_s=0.3) as other:
        assert other


def test_a_worker_is_alive_while_its_lease_runs(database: Database) -> None:
    with database.write() as session:
        take_lease(session, "worker:host:1", owner="host:1", lease_s=20)
    assert workers_alive(database) == ["host:1"]

    with database.write() as session:
        session.execute(update(LeaseRow).values(until=datetime.now(UTC) - timedelta(seconds=1)))
    assert workers_alive(database) == []


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
