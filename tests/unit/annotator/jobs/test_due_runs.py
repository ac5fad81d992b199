"""Which labels start a run, and which runs start again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from housekeeper_world import SpyQueue, label, start_run, states
from shifted_times import shift_times
from sqlalchemy import update
from tiny_bert import TINY_SCHEMA

from annotator.jobs.housekeeper import Housekeeper
from annotator.live_settings import LiveSettings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import (
    cancel_run,
    claim_run,
    finish_run,
    list_runs,
    set_snapshot,
    submit_run,
)
from annotator.store.snapshots import take_snapshot
from db.tables import TrainingRunRow


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
