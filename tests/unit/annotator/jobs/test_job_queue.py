from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis_server import PASSWORD, running_redis
from services_here import missing
from sqlalchemy import text

from annotator.errors import ConfigError, JobError
from annotator.jobs.messages import JobQueue, OutageFilter
from db import make_engine

SECRET = "the project's secret"


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("redis", marks=pytest.mark.redis),
        pytest.param("postgres", marks=pytest.mark.postgres),
    ]
)
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of queue."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'queue.db'}"
    if request.param == "redis":
        return str(request.getfixturevalue("redis_server").url)
    url: str = request.getfixturevalue("postgres_queue")
    return url


@pytest.fixture
def postgres_queue(postgres_url: str) -> Iterator[str]:
    """A URL for queues; no table of theirs stays for the tests of the database."""
    yield postgres_url
    engine = make_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE IF EXISTS huey_kv, huey_schedule, huey_task"))
        connection.execute(text("DROP TABLE IF EXISTS huey_counter"))
    engine.dispose()


@pytest.fixture
def queue(queue_url: str) -> Iterator[JobQueue]:
    """An empty queue."""
    opened = JobQueue(queue_url, secret=SECRET)
    opened.huey.flush()
    yield opened
    opened.close()


def make_certificate(file: Path) -> Path:
    """Make a certificate for loopback that signs itself, with its key, in one file."""
    program = shutil.which("openssl")
    if program is None:
        missing("openssl is not installed")
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(file), "-out", str(file.with_suffix(".crt"))]
    subprocess.run(command, check=True, capture_output=True)
    with file.open("a", encoding="ascii") as both:
        both.write(file.with_suffix(".crt").read_text(encoding="ascii"))
    return file


def work_off(queue: JobQueue) -> None:
    """Do what waits, as huey's consumer does."""
    while (task := queue.huey.dequeue()) is not None:
        queue.huey.execute(task)


def work_alone(queue: JobQueue) -> None:
    """Do what waits in a thread of its own, which has connections of its own."""
    work_off(queue)
    queue.close()


def test_jobs_reach_their_handlers_with_their_arguments(queue: JobQueue) -> None:
    done: list[tuple[object, ...]] = []
    queue.handle("train", lambda run_id: done.append(("train", run_id)))
    queue.handle("tend", lambda: done.append(("tend",)))
    queue.handle("publish", lambda: done.append(("publish",)))

    queue.submit(7)
    queue.tend()
    queue.publish()
    work_off(queue)

    assert done == [("train", 7), ("tend",), ("publish",)]


def test_another_process_takes_what_one_has_sent(queue_url: str, queue: JobQueue) -> None:
    sender = JobQueue(queue_url, secret=SECRET)
    sender.submit(3)
    sender.close()
    done: list[int] = []
    queue.handle("train", done.append)

    work_off(queue)

    assert done == [3]


def test_a_job_for_later_waits(queue: JobQueue) -> None:
    queue.tend(delay_s=60)

    assert queue.huey.dequeue() is not None  # the scheduler's job: to put it by until then
    assert queue.huey.pending_count() == 0


def test_each_of_many_jobs_is_taken_by_one_of_two_workers(queue_url: str, queue: JobQueue) -> None:
    other = JobQueue(queue_url, secret=SECRET)
    done: list[int] = []
    queue.handle("train", done.append)
    other.handle("train", done.append)
    [queue.submit(run_id) for run_id in range(20)]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work_alone, (queue, other)))

    assert sorted(done) == list(range(20))


def test_a_process_that_only_sends_says_so() -> None:
    queue = JobQueue("sqlite:///:memory:", secret=SECRET)

    with pytest.raises(JobError, match="sends train jobs but does not do them"):
        queue._tasks["train"].call_local(1)
    queue.close()


@pytest.mark.parametrize("url", ["amqp://x", "queue.db", ""])
def test_a_queue_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="queue_url must be"):
        JobQueue(url, secret=SECRET)


def test_a_queue_that_cannot_be_reached_loses_no_work(tmp_path: Path) -> None:
    (tmp_path / "queue.db").mkdir()

    with pytest.raises(JobError, match="queue cannot be reached"):
        JobQueue(f"sqlite:///{tmp_path / 'queue.db'}", secret=SECRET).submit(1)


@pytest.mark.redis
def test_a_redis_with_password_and_tls_carries_messages_to_those_who_know_it(
    tmp_path: Path,
) -> None:
    with running_redis(make_certificate(tmp_path / "redis.pem")) as server:
        queue = JobQueue(server.url, secret=SECRET)
        done: list[int] = []
        queue.handle("train", done.append)
        queue.submit(7)
        work_off(queue)
        queue.close()
        strangers = [
            JobQueue(server.url.replace(PASSWORD, "a-guess"), secret=SECRET),
            JobQueue(server.url.partition("?")[0], secret=SECRET),  # does not know the certificate
        ]
        for stranger in strangers:
            with pytest.raises(JobError, match="cannot be reached"):
                stranger.submit(8)
            stranger.close()

    assert done == [7]


@pytest.mark.postgres
def test_a_server_that_went_away_loses_no_work(postgres_queue: str) -> None:
    queue = JobQueue(postgres_queue, secret=SECRET)
    queue.huey.storage.dsn = "postgresql:///queue?host=/nowhere"
    queue.close()

    with pytest.raises(JobError, match="the work is not lost"):
        queue.submit(1)


@pytest.mark.postgres
def test_a_server_that_is_not_there_is_told_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="queue cannot be reached") as caught:
        JobQueue(f"postgresql://ward:secret@/queue?host={tmp_path}", secret=SECRET).submit(1)

    assert "secret" not in str(caught.value)


def test_closing_twice_is_fine(queue: JobQueue) -> None:
    queue.close()
    queue.close()


def test_a_queue_that_is_away_is_told_in_one_line_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logger = logging.getLogger("huey.consumer.Worker")
    outage = OutageFilter()
    outage.attach()

    for failure in (ConnectionRefusedError(111), ConnectionRefusedError(111), ValueError("odd")):
        logger.error("Error reading from queue", exc_info=failure)
    outage.detach()

    told = [(record.getMessage(), record.exc_info is None) for record in caplog.records]
    assert told == [
        (
            "the queue cannot be reached (ConnectionRefusedError); it is tried again until it can",
            True,
        ),
        ("Error reading from queue", False),
    ]
