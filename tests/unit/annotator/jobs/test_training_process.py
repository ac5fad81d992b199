"""A training run's process that hangs, dies or is left alone, with what it has started."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from annotator.errors import LeaseLostError, StoreError
from annotator.jobs import training_process
from annotator.jobs.heartbeat import Heartbeat, StallWatch
from annotator.jobs.training_process import TrainingProcess
from annotator.jobs.worker import Worker
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import cancel_run, claim_run, get_run, heartbeat, reap_runs, submit_run
from annotator.studio.processes import is_running

OWNER = "host:1/x"
#: Starts a process, says which, and does the rest.
WITH_A_CHILD = """
import os, pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
file = pathlib.Path(sys.argv[1])
file.with_suffix(".new").write_text(str(child.pid))
file.with_suffix(".new").rename(file)
"""
HANGS = "time.sleep(60)"
FROZEN = "os.kill(os.getpid(), signal.SIGSTOP)"
DIES = "sys.exit(3)"
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"


@pytest.fixture
def run_id(database: Database, project: Project) -> int:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner=OWNER, lease_s=60)
    return run.id


@pytest.fixture
def quick(settings: Settings) -> Settings:
    """Settings under which a second is long."""
    return settings.model_copy(update={"lease_s": 0.8, "stall_s": 0.8})


@pytest.fixture
def start(
    quick: Settings, database: Database, run_id: int, tmp_path: Path
) -> Iterator[Callable[..., tuple[TrainingProcess, int]]]:
    """Starts a process that does something; returns it and the id of what it has started."""
    started: list[TrainingProcess] = []

    def run(does: str, **changes: float) -> tuple[TrainingProcess, int]:
        file = tmp_path / "pid"
        process = TrainingProcess(
            quick.model_copy(update=changes),
            database,
            run_id,
            owner=OWNER,
            command=[sys.executable, "-c", f"{WITH_A_CHILD}\n{does}", str(file)],
        )
        started.append(process)
        while not file.exists():
            time.sleep(0.02)
        return process, int(file.read_text())

    yield run
    for process in started:
        process.kill()


def is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


@pytest.mark.parametrize("does", [HANGS, FROZEN, DEAF], ids=["sleeps", "frozen", "deaf"])
def test_a_training_that_hangs_is_killed_with_all_it_started(start: Any, does: str) -> None:
    process, other = start(does)

    cause = process.see_through()

    assert cause.startswith("it hung: no progress for")
    assert is_gone(other)


@pytest.mark.parametrize(
    ("does", "said"), [(DIES, "ended with code 3"), (KILLED, "killed by SIGKILL")]
)
def test_what_a_training_that_died_has_started_ends_too(start: Any, does: str, said: str) -> None:
    process, other = start(does)

    cause = process.see_through()
    process.kill()

    assert said in cause
    assert is_gone(other)


def test_a_training_that_makes_progress_is_left_alone(
    start: Any, database: Database, run_id: int
) -> None:
    process, _ = start("time.sleep(1.8)")
    stop = threading.Event()

    def train() -> None:
        step = 0
        while not stop.wait(0.2):
            step += 1
            with database.write() as session:
                heartbeat(session, run_id, owner=OWNER, lease_s=60, progress={"step": step})

    thread = threading.Thread(target=train)
    thread.start()
    cause = process.see_through()
    stop.set()
    thread.join()

    assert cause is None


def test_a_training_that_hangs_when_it_is_cancelled_is_killed(
    start: Any, database: Database, run_id: int
) -> None:
    process, other = start(HANGS, stall_s=60)
    with database.write() as session:
        cancel_run(session, run_id)

    assert process.see_through() == "it was asked to stop and did not react"
    assert is_gone(other)


def test_a_training_whose_run_was_taken_is_killed(
    start: Any, database: Database, run_id: int
) -> None:
    process, other = start(FROZEN, stall_s=60)
    with database.write() as session:
        heartbeat(session, run_id, owner=OWNER, lease_s=-1)
        reap_runs(session, max_attempts=3)

    assert "SIGKILL" in process.see_through()
    assert is_gone(other)


def test_a_handler_that_fails_leaves_no_process_alone(
    quick: Settings,
    database: Database,
    database_url: str,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    children: list[int] = []

    def fail(process: TrainingProcess) -> None:
        children.append(process._child.pid)
        raise StoreError("database ward: connection refused")

    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr(training_process, "training_command", lambda *_: command)
    monkeypatch.setattr(TrainingProcess, "see_through", fail)
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
    worker = Worker(quick.model_copy(update={"database_url": database_url}))

    with pytest.raises(StoreError):
        worker.train(run.id)

    worker.close()
    [child] = children
    assert not is_running(child)
    with suppress(ChildProcessError):  # reaped
        assert os.waitpid(child, os.WNOHANG) == (0, 0)


def test_a_run_that_hangs_gives_its_lease_up_and_says_where(
    database: Database, run_id: int
) -> None:
    told: list[str] = []

    with Heartbeat(
        database, run_id, owner=OWNER, lease_s=0.4, stall_s=0.5, on_stall=told.append
    ) as heart:
        heart.report({"phase": "train", "step": 3, "n_steps": 9})
        time.sleep(1.6)
        with database.write() as session:
            reaped = reap_runs(session, max_attempts=3)
        with pytest.raises(LeaseLostError, match="given up"):
            heart.report({"phase": "train", "step": 4, "n_steps": 9})

    assert reaped == [run_id]
    assert len(told) == 1
    assert told[0].endswith("in step 3 of 9")


def test_who_was_frozen_while_a_run_was_has_seen_no_hang() -> None:
    now = iter([0.0, 1.0, 500.0, 501.0, 502.0, 503.0, 504.0, 505.0, 506.0])
    watch = StallWatch(5.0, pause_s=1.0, clock=lambda: next(now))

    *before, last = [watch.find({"phase": "prepare", "n_reports": 1}) for _ in range(6)]

    assert before == [None] * 5
    assert last == "it hung: no progress for 6 s (stall_s) in phase prepare"


def test_a_database_that_is_away_is_no_progress_and_no_news() -> None:
    now = iter([float(i) for i in range(20)])
    watch = StallWatch(3.0, pause_s=1.0, clock=lambda: next(now))
    looks = [{"step": 1}, None, None, {"step": 2}, None, None, None, None]

    found = [watch.find(progress) for progress in looks]

    assert [one is not None for one in found] == [False] * 7 + [True]


def test_the_reason_is_in_the_row_of_a_run_given_up(
    database: Database, run_id: int, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    from annotator.jobs import training

    killed: list[int] = []
    monkeypatch.setattr(training, "signal_group", lambda pid, number: killed.append(pid))
    monkeypatch.setattr(training.os, "_exit", lambda code: killed.append(code))

    training._end_hung(settings, database, run_id, "it hung: x", owner=OWNER)

    with database.read() as session:
        run = get_run(session, run_id)
    assert (run.state, run.error, killed) == ("queued", "it hung: x", [os.getpid(), 1])


def test_looks_that_wait_for_the_lock_which_a_frozen_training_holds_count_in_full() -> None:
    now = iter([32.0 * i for i in range(9)])
    watch = StallWatch(100.0, pause_s=2.0, clock=lambda: next(now))

    found = [watch.find(None, looking_s=30.0) for _ in range(4)]

    assert [one is not None for one in found] == [False, False, False, True]
