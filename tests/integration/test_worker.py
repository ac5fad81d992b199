"""A real worker process with a real training child, killed in every way that happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from factories import make_document
from redis_server import RedisServer
from run_watch import kill, read, results, wait_for_end, wait_for_training, wait_until
from sqlalchemy import text
from training_processes import training_processes

from annotator.domain import Entity
from annotator.errors import JobError
from annotator.jobs.messages import JobQueue
from annotator.services.intake.documents import ingest_documents
from annotator.settings import Settings, init_home, load_settings
from annotator.store.database import Database
from annotator.store.leases import take_lease
from annotator.store.projects import Project, ensure_project
from annotator.store.runs import cancel_run, submit_run

pytestmark = pytest.mark.timeout(1200)

ENVIRONMENT = {**os.environ, "ANNOTATOR_LEASE_S": "3", "OMP_NUM_THREADS": "1"}


SQLITE = pytest.param("sqlite", marks=pytest.mark.slow)
#: Database and queue on a server: in CI for what a worker lives by, at night for all of it.
SERVERS = [
    pytest.param("redis", marks=pytest.mark.redis),
    pytest.param("postgres", marks=pytest.mark.postgres),
]
AT_NIGHT = [
    pytest.param(*one.values, marks=[*one.marks, pytest.mark.nightly], id=str(one.values[0]))
    for one in SERVERS
]
everywhere = pytest.mark.parametrize("urls", [SQLITE, *SERVERS], indirect=True)


@pytest.fixture(params=[SQLITE, *AT_NIGHT])
def urls(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where database and queue are, by URL alone."""
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        return {"queue_url": server.url}
    if request.param == "postgres":
        url: str = request.getfixturevalue("new_postgres")()
        return {"database_url": url, "queue_url": url}
    return {}


@pytest.fixture
def settings(urls: dict[str, str], tmp_path: Path, tiny_encoder: Path) -> Settings:
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
        **urls,
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
    queue = JobQueue(settings.queue, secret=settings.queue_secret)
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
    for pid in training_processes(settings.home):
        kill(pid)
    log.close()


@everywhere
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

    [kill(pid) for pid in training_processes(settings.home)]

    wait_until(lambda: read(database, run_id).error is not None)
    assert "SIGKILL (out of memory?)" in str(read(database, run_id).error)
    run = wait_for_end(database, run_id)
    assert (run.state, run.attempts, run.error) == ("succeeded", 2, None)
    assert results(database, project) == (1, 1)


@everywhere
def test_the_run_of_a_killed_worker_is_finished_by_another_once(
    database: Database, project: Project, settings: Settings, run_id: int, start: Start
) -> None:
    worker = start()
    wait_for_training(database, run_id)

    worker.kill()
    [kill(pid) for pid in training_processes(settings.home)]
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
    assert training_processes(settings.home) == []


def test_a_cancelled_run_stops(database: Database, run_id: int, start: Start) -> None:
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
    assert training_processes(settings.home) == []
    last = (tmp_path / "worker.log").read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("annotator: error: the database is at migration 9999")


def test_what_a_dead_worker_held_is_free_again(
    database: Database, run_id: int, settings: Settings, start: Start
) -> None:
    queue = JobQueue(settings.queue, secret=settings.queue_secret)
    queue.huey.flush()  # as if the dead worker had taken the message with it
    queue.close()
    with database.write() as session:
        take_lease(session, "tend:ward", owner="dead:1", lease_s=5)
        take_lease(session, "publish:ward", owner="dead:1", lease_s=5)

    start()

    assert wait_for_end(database, run_id).state == "succeeded"


@pytest.mark.redis
@pytest.mark.parametrize("urls", ["redis"], indirect=True)
def test_a_redis_that_dies_with_all_it_held_loses_no_run(
    database: Database,
    project: Project,
    settings: Settings,
    run_id: int,
    start: Start,
    redis_server: RedisServer,
) -> None:
    worker = start()
    wait_for_training(database, run_id)

    redis_server.kill()
    with database.write() as session:
        second, _ = submit_run(session, project.id, trigger="test")
    queue = JobQueue(settings.queue, secret=settings.queue_secret)
    with pytest.raises(JobError, match="the work is not lost"):
        queue.submit(second.id)
    queue.close()
    first = wait_for_end(database, run_id)
    redis_server.start()

    assert (first.state, first.attempts) == ("succeeded", 1)
    assert wait_for_end(database, second.id).state in {"succeeded", "held"}
    assert worker.poll() is None
