from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.errors import ConfigError, JobError
from annotator.jobs.queue import JobQueue


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    opened = JobQueue(f"sqlite:///{tmp_path / 'queue.db'}")
    yield opened
    opened.close()


def work_off(queue: JobQueue) -> None:
    """Do what waits, as huey's consumer does."""
    while (task := queue.huey.dequeue()) is not None:
        queue.huey.execute(task)


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


def test_another_process_takes_what_one_has_sent(tmp_path: Path, queue: JobQueue) -> None:
    sender = JobQueue(f"sqlite:///{tmp_path / 'queue.db'}")
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


def test_a_process_that_only_sends_says_so() -> None:
    queue = JobQueue("sqlite:///:memory:")

    with pytest.raises(JobError, match="sends train jobs but does not do them"):
        queue._tasks["train"].call_local(1)
    queue.close()


@pytest.mark.parametrize("url", ["amqp://x", "queue.db", ""])
def test_a_queue_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="queue_url must be"):
        JobQueue(url)


def test_a_queue_that_cannot_be_reached_loses_no_work(tmp_path: Path) -> None:
    (tmp_path / "queue.db").mkdir()

    with pytest.raises(JobError, match="queue cannot be reached"):
        JobQueue(f"sqlite:///{tmp_path / 'queue.db'}").submit(1)


def test_closing_twice_is_fine(queue: JobQueue) -> None:
    queue.close()
    queue.close()
