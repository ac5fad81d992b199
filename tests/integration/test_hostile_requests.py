"""Requests that are far too large, at a real server: refused or handled, and it lives on."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from backend_world import World, make_predict
from served_backend import ask, serving, wait_for_health

pytestmark = pytest.mark.slow

LONG = "The patient took aspirin and had a rash 😀.\r\n" * 45_000  # about 2 million characters


class Backend:
    """A backend in a process of its own."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid, self.port = pid, port

    def begin_body(self, size: int) -> socket.socket:
        """Begin a request without credentials whose body has ``size`` bytes."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        return connection

    @property
    def n_files(self) -> int:
        """How many files and sockets it has open."""
        return len(list(Path(f"/proc/{self._pid}/fd").iterdir()))

    def post(self, body: bytes, path: str = "/predict") -> tuple[int, dict[str, Any]]:
        """Send these bytes, by default to ask for predictions; return status and answer."""
        return ask(self.port, path, body, timeout_s=100)

    @property
    def is_up(self) -> bool:
        """Whether it still answers."""
        return ask(self.port, "/health")[0] == 200

    @property
    def most_core_bytes(self) -> int:
        """The largest memory image that the system would write if it crashed."""
        limits = Path(f"/proc/{self._pid}/limits").read_text(encoding="utf-8")
        return int(limits.partition("Max core file size")[2].split()[0])

    @property
    def peak_mb(self) -> float:
        """The most memory it has held."""
        lines = Path(f"/proc/{self._pid}/status").read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3


@pytest.fixture(scope="module")
def served(lasting_world: World) -> Iterator[Backend]:
    """A project's backend, as its user starts it."""
    with serving(lasting_world.settings.home) as (process, port):
        wait_for_health(port, "model_version")
        yield Backend(process.pid, port)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is read from /proc")
def test_a_body_of_100_mb_is_refused_and_not_kept_in_memory(served: Backend) -> None:
    before = served.peak_mb

    status, answer = served.post(b'{"tasks": "' + b"a" * 100_000_000 + b'"}')

    assert (status, answer["code"]) == (413, "too_large")
    assert served.peak_mb - before < 100
    assert served.is_up


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is read from /proc")
def test_large_bodies_of_strangers_are_kept_nowhere(served: Backend) -> None:
    before, files = served.peak_mb, served.n_files

    with ExitStack() as stack:
        bodies = [stack.enter_context(closing(served.begin_body(50_000_000))) for _ in range(10)]
        [one.sendall(b"a" * 30_000_000) for one in bodies]
        kept = served.peak_mb - before, served.n_files - files

        assert served.is_up
    assert kept[0] < 20
    assert kept[1] <= len(bodies)  # their sockets


def test_idle_connections_do_not_stop_it(served: Backend) -> None:
    with ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port)))

        assert served.is_up
        assert served.post(json.dumps({"schema": "<View/>"}).encode(), "/setup")[0] == 200


def test_a_locked_database_holds_nobody_up(served: Backend, lasting_world: World) -> None:
    event = json.dumps({"action": "TASKS_CREATED", "project": {"id": 5}}).encode()

    def timed(path: str, body: bytes | None) -> tuple[int, float]:
        began = time.monotonic()
        status = ask(served.port, path, body, timeout_s=30)[0]
        return status, time.monotonic() - began

    with (
        closing(sqlite3.connect(lasting_world.settings.home / "annotator.db")) as other,
        ThreadPoolExecutor(40) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        events = [pool.submit(timed, "/webhook", event) for _ in range(30)]
        healths = [timed("/health", None) for _ in range(20)]
        predicted = timed("/predict", json.dumps(make_predict("Aspirin it was.")).encode())
        told = [one.result() for one in events]

    assert {status for status, _ in told} == {503}
    assert min(took_s for _, took_s in told) < 1.5
    assert max(took_s for _, took_s in told) < 8  # thirty wait for twelve threads
    assert {status for status, _ in healths} == {200}
    assert max(took_s for _, took_s in healths) < 1.0
    assert predicted[0] == 200


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="limits are read from /proc")
def test_a_crash_would_not_write_what_is_in_memory_to_a_file(served: Backend) -> None:
    assert served.most_core_bytes == 0


def test_a_million_tasks_are_refused_and_the_server_lives_on(served: Backend) -> None:
    body = b'{"tasks": [' + b",".join([b'{"data":{"text":"a"}}'] * 1_000_000) + b"]}"

    status, answer = served.post(body)

    assert (status, answer["code"]) == (413, "too_many_tasks")
    assert served.is_up


def test_a_text_of_two_million_characters_is_predicted_to_its_end(served: Backend) -> None:
    status, answer = served.post(json.dumps(make_predict(LONG)).encode())

    assert status == 200, answer
    result = answer["results"][0]["result"]
    last = max(item["value"]["end"] for item in result if item["type"] == "labels")
    assert last > len(LONG) - 100
    assert served.is_up


def test_a_text_over_the_limit_is_refused_with_the_setting_that_limits_it(served: Backend) -> None:
    status, answer = served.post(json.dumps(make_predict(LONG + LONG)).encode())

    assert (status, answer["code"]) == (413, "text_too_long")
    assert "max_text_chars" in answer["error"]


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
@pytest.mark.parametrize(
    "body",
    [b"[" * 1_000_000, b'{"tasks":' * 1_000_000, b'{"score": NaN}', b"\x00" * 1_000],
    ids=["lists in lists", "objects in objects", "no number", "null bytes"],
)
def test_a_body_that_is_no_json_is_refused_with_the_reason(
    served: Backend, path: str, body: bytes
) -> None:
    status, answer = served.post(body, path)

    assert (status, answer["code"]) == (400, "bad_json")
    assert served.is_up


@pytest.mark.parametrize("character", ["\x00", "\ud83d", "\U0010ffff"])
def test_odd_characters_and_ids_are_answered_like_any_others(
    served: Backend, character: str
) -> None:
    tasks = make_predict(f"Aspirin {character} caused a rash.")
    tasks["tasks"][0]["id"] = f"7{character}"
    event = {"action": "TASKS_CREATED", "project": {"id": 5}, "tasks": tasks["tasks"]}

    predicted = served.post(json.dumps(tasks).encode())
    received = served.post(json.dumps(event).encode(), "/webhook")

    assert (predicted[0], len(predicted[1]["results"])) == (200, 1)
    assert received[0] == 201
    assert served.is_up
