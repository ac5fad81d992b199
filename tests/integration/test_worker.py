"""A real worker process with a real training child, killed in every way that happens."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from factories import make_document
from sqlalchemy import func, select, text

from annotator.domain import Entity
from annotator.jobs.queue import JobQueue
from annotator.services.ingest import ingest_documents
from annotator.settings import Settings, init_home, load_settings
from annotator.store.database import Database
from annotator.store.projects import Project, ensure_project
from annotator.store.runs import FINISHED, Run, get_run, submit_run
from annotator.store.versions import list_versions
from db.tables import AuditRow

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ENVIRONMENT = {**os.environ, "ANNOTATOR_LEASE_S": "3", "OMP_NUM_THREADS": "1"}


@pytest.fixture
def settings(tmp_path: Path, tiny_encoder: Path) -> Settings:
    """A project whose runs take some seconds."""
    home = tmp_path / "home"
    init_home(
        home,
        project="ward",
        unit="sentence",
        encoder=str(tiny_encoder),
        device="cpu",
        precision="fp32",
        epochs=1,
        min_steps=250,
    )
    return load_settings(home)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.database)
    opened.upgrade()
    yield opened
    opened.close()


@pytest.fixture
def project(database: Database, settings: Settings) -> Project:
    with database.write() as session:
        made = ensure_project(session, name="ward", unit="sentence")
    documents = [
        make_document(
            f"d{i}",
            f"Aspirin caused a rash in case {i}.",
            entities=(Entity(id="a", type="Drug", start=0, end=7),),
        )
        for i in range(30)
    ]
    ingest_documents(database, made.id, documents, role="gold", holdout_share=0.2, seed=1)
    return made


@pytest.fixture
def run_id(database: Database, project: Project, settings: Settings) -> int:
    """A run that waits, as ``annotator retrain`` makes it."""
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
    queue = JobQueue(settings.queue)
    queue.submit(run.id)
    queue.close()
    return run.id


Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Start]:
    """Starts workers, and sees to it that none of them is left."""
    started: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "worker.log").open("ab")

    def run() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "annotator.cli.main", "worker", "--home"]
        worker = subprocess.Popen(
            [*command, str(settings.home)], stderr=log, stdout=log, env=ENVIRONMENT
        )
        started.append(worker)
        return worker

    yield run
    for worker in started:
        worker.kill()
        worker.wait()
    for pid in children(settings):
        kill(pid)
    log.close()


def children(settings: Settings) -> list[int]:
    """The training processes of this project."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"annotator.jobs.training" in words and str(settings.home).encode() in words:
            found.append(int(folder.name))
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def read(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return get_run(session, run_id)


def wait_until(is_so: Callable[[], Any], *, timeout_s: float = 90) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def wait_for_training(database: Database, run_id: int, *, attempt: int = 1) -> None:
    """Wait until a run is in the midst of its steps."""

    def is_under_way() -> bool:
        run = read(database, run_id)
        return run.attempts == attempt and run.progress.get("step", 0) > 0

    wait_until(is_under_way)


def wait_for_end(database: Database, run_id: int) -> Run:
    wait_until(lambda: read(database, run_id).state in FINISHED)
    return read(database, run_id)


def results(database: Database, project: Project) -> tuple[int, int]:
    """How many versions there are, and how many promotions the audit trail holds."""
    with database.read() as session:
        n_audits = session.scalar(
            select(func.count()).select_from(AuditRow).where(AuditRow.action == "promote")
        )
        return len(list_versions(session, project.id)), n_audits or 0


def test_a_worker_does_a_run_and_stops_when_asked(
    database: Database, project: Project, run_id: int, start: Start
) -> None:
    worker = start()

    run = wait_for_end(database, run_id)
    worker.terminate()

    assert (run.state, run.attempts, run.error) == ("succeeded", 1, None)
    assert results(database, project) == (1, 1)
    assert worker.wait(timeout=30) == 0


def test_a_training_process_that_is_killed_is_tried_again(
    database: Database, project: Project, settings: Settings, run_id: int, start: Start
) -> None:
    start()
    wait_for_training(database, run_id)

    [kill(pid) for pid in children(settings)]

    wait_until(lambda: read(database, run_id).error is not None)
    assert "SIGKILL (out of memory?)" in str(read(database, run_id).error)
    run = wait_for_end(database, run_id)
    assert (run.state, run.attempts, run.error) == ("succeeded", 2, None)
    assert results(database, project) == (1, 1)


def test_the_run_of_a_killed_worker_is_finished_by_another_once(
    database: Database, project: Project, settings: Settings, run_id: int, start: Start
) -> None:
    worker = start()
    wait_for_training(database, run_id)

    worker.kill()
    [kill(pid) for pid in children(settings)]
    assert read(database, run_id).state == "running"
    start()

    run = wait_for_end(database, run_id)
    assert (run.state, run.attempts) == ("succeeded", 2)
    assert results(database, project) == (1, 1)


def test_a_training_process_whose_worker_is_killed_goes_on_by_itself(
    database: Database, project: Project, settings: Settings, run_id: int, start: Start
) -> None:
    worker = start()
    wait_for_training(database, run_id)

    worker.kill()
    start()

    run = wait_for_end(database, run_id)
    assert (run.state, run.attempts) == ("succeeded", 1)
    assert results(database, project) == (1, 1)


def test_a_worker_that_is_asked_to_stop_gives_its_run_back(
    database: Database, settings: Settings, run_id: int, start: Start
) -> None:
    worker = start()
    wait_for_training(database, run_id)

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(timeout=30) == 0
    run = read(database, run_id)
    assert (run.state, run.attempts, run.owner) == ("queued", 0, None)
    assert children(settings) == []


def test_a_cancelled_run_stops(database: Database, run_id: int, start: Start) -> None:
    from annotator.store.runs import cancel_run

    start()
    wait_for_training(database, run_id)

    with database.write() as session:
        cancel_run(session, run_id)

    assert wait_for_end(database, run_id).state == "cancelled"


def test_a_worker_whose_database_a_newer_program_upgrades_stops_and_says_so(
    database: Database, settings: Settings, run_id: int, start: Start, tmp_path: Path
) -> None:
    worker = start()
    wait_for_training(database, run_id)

    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert worker.wait(timeout=60) == 1
    assert children(settings) == []
    last = (tmp_path / "worker.log").read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("annotator: error: the database is at migration 9999")
