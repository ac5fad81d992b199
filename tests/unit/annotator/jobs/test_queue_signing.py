"""Whoever can write to the queue's storage must not be able to do anything with it."""

from __future__ import annotations

import json
import logging
import pickle
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from huey.consumer import Worker
from huey.registry import Message
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import ConfigError, ForeignMessageError, JobError
from annotator.jobs.messages import JobQueue, OutageFilter
from annotator.jobs.signing import SignedMessages

SECRET = "the project's secret"
JOB = "queuehuey.train"
ID = "0b0c8b1e-7a3e-4f5d-9d36-7f6f2f0f6a11"
VALUE = {"job": JOB, "args": [7], "id": ID, "eta": None}


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._file,)


@pytest.fixture
def signing() -> SignedMessages:
    """What signs and reads messages with the project's secret."""
    return SignedMessages(SECRET, {JOB})


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    """An empty queue on disk, in which a worker does jobs."""
    opened = JobQueue(f"sqlite:///{tmp_path / 'queue.db'}", secret=SECRET)
    yield opened
    opened.close()


def signed(value: object) -> bytes:
    """Return any value as a message under the right signature."""
    packed = json.dumps(value).encode()
    return SignedMessages(SECRET, ())._sign(packed) + packed


def as_sent(message: Message) -> bytes:
    """Return a message as another project's program sends it."""
    return SignedMessages("another secret", {JOB}).serialize(message)


def work(queue: JobQueue, rounds: int) -> None:
    """Let one of huey's own workers look for a message so many times."""
    worker = Worker(queue.huey, _Never(), default_delay=0.0, max_delay=0.0, backoff=1.0)
    for _ in range(rounds):
        worker.loop()


class _Never:
    def wait(self, _timeout: float) -> bool:
        return False


def test_a_pickle_in_the_queue_is_dropped_and_never_opened(
    queue: JobQueue, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = tmp_path / "made"
    pickled = pickle.dumps(Bomb(made))
    done: list[int] = []
    queue.handle("train", done.append)
    storage = queue.huey.storage
    storage.enqueue(pickled)
    storage.put_data(f"rt:{JOB}", pickled)  # where huey keeps what is revoked
    queue.submit(7)
    outage = OutageFilter()
    outage.attach()
    try:
        work(queue, rounds=3)
    finally:
        outage.detach()

    assert not made.exists()
    assert done == [7]
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.exc_info for record in told] == [None]
    assert "not signed by this project and was dropped" in told[0].getMessage()


def test_a_pickle_among_what_is_scheduled_is_dropped_and_never_opened(
    queue: JobQueue, tmp_path: Path
) -> None:
    made = tmp_path / "made"
    with closing(sqlite3.connect(tmp_path / "queue.db")) as connection, connection:
        connection.execute(
            "INSERT INTO schedule (queue, data, timestamp) VALUES ('annotator', ?, 0)",
            (pickle.dumps(Bomb(made)),),
        )

    found = queue.huey.read_schedule()

    assert (found, made.exists()) == ([], False)


@pytest.mark.parametrize("stored", [None, 7, "a text", b"", b"x" * 64, b"x" * 1_000_000])
def test_what_is_no_message_at_all_is_refused(signing: SignedMessages, stored: object) -> None:
    with pytest.raises(ForeignMessageError, match="dropped"):
        signing.deserialize(stored)


@pytest.mark.parametrize(
    "change",
    [
        {"job": "queuehuey.shell"},
        {"job": ["queuehuey.train"]},
        {"args": ["rm -rf"]},
        {"args": [True]},
        {"args": [1.5]},
        {"args": [1, 2]},
        {"args": {"run_id": 7}},
        {"id": "r:" + ID},
        {"id": 7},
        {"eta": "soon"},
        {"eta": 7},
        {"eta": "2026-01-01T00:00:00+01:00"},
        {"kwargs": {}},
    ],
    ids=str,
)
def test_a_signed_message_that_says_anything_else_is_refused(
    signing: SignedMessages, change: dict[str, Any]
) -> None:
    with pytest.raises(ForeignMessageError):
        signing.deserialize(signed(VALUE | change))


def test_nothing_but_a_message_can_be_sent(signing: SignedMessages) -> None:
    with pytest.raises(JobError, match="whole numbers alone") as caught:
        signing.serialize(Message(id=ID, name=JOB, args=("a text of a note",)))

    assert "note" not in str(caught.value)


def test_another_projects_message_is_refused(signing: SignedMessages) -> None:
    with pytest.raises(ForeignMessageError):
        signing.deserialize(as_sent(Message(id=ID, name=JOB, args=(7,))))


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_message_with_any_bit_changed_is_refused(place: int, bit: int) -> None:
    signing = SignedMessages(SECRET, {JOB})
    stored = bytearray(signing.serialize(Message(id=ID, name=JOB, args=(7,))))
    stored[place % len(stored)] ^= 1 << bit

    with pytest.raises(ForeignMessageError):
        signing.deserialize(bytes(stored))


def test_without_a_secret_there_is_no_queue() -> None:
    with pytest.raises(ConfigError, match="annotator init makes both"):
        JobQueue("sqlite:///:memory:", secret="")
