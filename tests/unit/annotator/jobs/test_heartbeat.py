from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import update

from annotator.errors import CancelledError, LeaseLostError, StoreError
from annotator.jobs.heartbeat import Heartbeat, Milestones
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.run_log import read_run_log
from annotator.store.runs import cancel_run, claim_run, get_run, reap_runs, submit_run
from db.tables import TrainingRunRow

TRAIN = {"phase": "train", "n_epochs": 9, "n_steps": 18, "loss": 0.5}


def step(epoch: int, **more: Any) -> Mapping[str, Any]:
    return {**TRAIN, "epoch": epoch, "step": 2 * epoch, **more}


def kinds(milestones: Milestones, *reports: Mapping[str, Any]) -> list[str]:
    return [kind for report in reports for kind, _, _ in milestones.take(report)]


def test_phases_and_epochs_that_ended_are_noted_and_steps_are_not() -> None:
    found = kinds(
        Milestones(least_s=0),
        {"phase": "prepare"},
        step(1),
        step(1),
        step(2),
        step(2),
        {"phase": "evaluate"},
    )

    assert found == ["prepare", "train", "epoch", "epoch", "evaluate"]


def test_of_many_short_epochs_some_are_noted_and_the_last_one() -> None:
    now = iter([0.0, *(float(i) for i in range(1, 100))])
    milestones = Milestones(least_s=10, clock=lambda: next(now))

    lines = [
        line
        for report in [*(step(epoch) for epoch in range(1, 31)), {"phase": "evaluate"}]
        for line in milestones.take(report)
    ]

    assert [detail["epoch"] for kind, _, detail in lines if kind == "epoch"] == [10, 20, 30]


def test_where_a_run_goes_on_from_and_smaller_batches_are_noted() -> None:
    milestones = Milestones(least_s=0)

    first = milestones.take(step(3, resumed_from=5, n_micro=1))
    then = milestones.take(step(3, resumed_from=5, n_micro=2))

    assert first[0][2]["resumed_from"] == 5
    assert (then[0][0], then[0][2]) == ("out of memory", {"n_micro": 2})


@pytest.fixture
def run_id(database: Database, project: Project) -> int:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner="host:1", lease_s=60)
    return run.id


class FlakyDatabase:
    """A database that cannot be reached at times."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_away = False

    def write(self) -> Any:
        if self.is_away:
            raise StoreError("database ward: connection refused")
        return self._database.write()


@pytest.fixture
def flaky(database: Database) -> FlakyDatabase:
    return FlakyDatabase(database)


@pytest.fixture
def heart(flaky: FlakyDatabase, run_id: int) -> Iterator[Heartbeat]:
    with Heartbeat(flaky, run_id, owner="host:1", lease_s=1.0) as beating:  # type: ignore[arg-type]
        yield beating


def test_a_phase_is_in_the_row_and_in_the_log_at_once(
    database: Database, run_id: int, heart: Heartbeat
) -> None:
    heart.report({"phase": "evaluate", "n_sentences": 8})

    with database.read() as session:
        assert get_run(session, run_id).progress["phase"] == "evaluate"
        last = read_run_log(session, run_id)[-1]
    assert (last.kind, last.detail) == ("evaluate", {"n_sentences": 8})


def test_lines_that_could_not_be_written_are_written_later_and_once(
    database: Database, run_id: int, heart: Heartbeat, flaky: FlakyDatabase
) -> None:
    flaky.is_away = True
    heart.report({"phase": "prepare"})
    flaky.is_away = False
    time.sleep(0.6)
    heart.report({"phase": "evaluate"})

    with database.read() as session:
        found = [event.kind for event in read_run_log(session, run_id)]
    assert found == ["submitted", "started", "prepare", "evaluate"]


def test_a_run_that_cannot_tell_that_it_is_alive_stops_when_its_lease_is_over(
    heart: Heartbeat, flaky: FlakyDatabase
) -> None:
    flaky.is_away = True
    heart.report({"phase": "prepare"})
    began = time.monotonic()

    with pytest.raises(LeaseLostError, match="another worker"):
        train_on(heart, for_s=5.0)

    assert 0.8 < time.monotonic() - began < 3.0


def test_a_database_that_is_back_in_time_costs_nothing(
    heart: Heartbeat, flaky: FlakyDatabase
) -> None:
    flaky.is_away = True
    train_on(heart, for_s=0.5)
    flaky.is_away = False

    train_on(heart, for_s=1.5)


def test_a_beating_heart_keeps_the_lease_and_carries_progress(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner="host:1", lease_s=0.4)

    with Heartbeat(database, run.id, owner="host:1", lease_s=0.4) as heart:
        heart.report({"step": 5})
        time.sleep(1.0)
        with database.write() as session:
            assert reap_runs(session, max_attempts=3) == []
            assert get_run(session, run.id).progress["step"] == 5


def test_a_cancelled_run_hears_of_it(database: Database, run_id: int, heart: Heartbeat) -> None:
    with database.write() as session:
        cancel_run(session, run_id)

    with pytest.raises(CancelledError):
        train_on(heart, for_s=5.0)


def test_a_run_that_was_taken_over_hears_of_it(database: Database, heart: Heartbeat) -> None:
    with database.write() as session:
        session.execute(update(TrainingRunRow).values(owner="host:2"))

    with pytest.raises(LeaseLostError):
        train_on(heart, for_s=5.0)


def train_on(heart: Heartbeat, *, for_s: float) -> None:
    deadline = time.monotonic() + for_s
    while time.monotonic() < deadline:
        heart.report({"phase": "prepare"})
        time.sleep(0.02)
