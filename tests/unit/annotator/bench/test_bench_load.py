from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from annotator.bench.load import Caller, one_after_the_other, steadily, summarise


class _Answers(BaseHTTPRequestHandler):
    """Says 200 to the right user, 500 to ``/broken``."""

    def do_GET(self) -> None:
        right = self.headers["Authorization"] == "Basic dXNlcjpzZWNyZXQ="
        status = 500 if self.path == "/broken" else 200 if right else 401
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def caller() -> Iterator[Caller]:
    """A caller of a small server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Caller(host="127.0.0.1", port=server.server_port, user="user", password="secret")
    server.shutdown()
    server.server_close()
    thread.join()


def test_quantiles_are_of_the_nearest_rank() -> None:
    found = summarise([i / 1e3 for i in range(1, 101)])

    assert (found.n, found.p50_ms, found.p99_ms, found.max_ms) == (100, 50.0, 99.0, 100.0)


def test_one_request_has_all_quantiles() -> None:
    found = summarise([0.004], n_failed=1)

    assert (found.n_failed, found.p50_ms, found.p99_ms, found.max_ms) == (1, 4.0, 4.0, 4.0)


def test_requests_that_are_due_while_the_server_stands_still_count_as_slow() -> None:
    lock = threading.Lock()

    def send(i: int) -> bool:
        with lock:
            time.sleep(0.3 * (i == 0))
            return True

    found = steadily(send, per_s=100, n=20, report=lambda _: None)

    # The first took 0.3 s; the tenth was due 0.1 s after it and had to wait for the rest.
    assert found.max_ms >= 300
    assert found.p50_ms >= 150


def test_every_request_is_sent_once_and_failures_are_counted() -> None:
    sent: list[int] = []
    reports: list[int] = []

    def send(i: int) -> bool:
        sent.append(i)
        return i % 10 != 0

    found = steadily(send, per_s=1000, n=50, report=reports.append)

    assert sorted(sent) == list(range(50))
    assert sorted(reports) == list(range(1, 51))
    assert (found.n, found.n_failed) == (50, 5)


def test_one_after_the_other_waits_for_each_answer() -> None:
    sent: list[int] = []

    def send(i: int) -> bool:
        sent.append(i)
        return i != 1

    found = one_after_the_other(send, n=3, report=lambda _: None)

    assert sent == [0, 1, 2]
    assert (found.n, found.n_failed) == (3, 1)


@pytest.mark.parametrize(("path", "good"), [("/", True), ("/broken", False)])
def test_only_a_good_answer_is_a_success(caller: Caller, path: str, good: bool) -> None:
    assert caller.ok("GET", path) is good


def test_without_a_server_a_request_has_failed(caller: Caller) -> None:
    nobody = Caller(host="127.0.0.1", port=9, user="user", password="secret")

    assert caller.ok("GET", "/")
    assert not nobody.ok("GET", "/")
