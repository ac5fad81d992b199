from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from backend_world import BASIC, World, make_predict
from flask import Flask
from waitress.buffers import OverflowableBuffer

from annotator.errors import ConfigError
from annotator.model import Predictor
from ml_backend.server import BackendServer, serve


@pytest.fixture
def server(shared_world: World) -> Iterator[BackendServer]:
    app = shared_world.client(max_body_mb=0.01).application
    running = BackendServer(app, shared_world.settings.model_copy(update={"max_body_mb": 0.01}))
    thread = threading.Thread(target=running.run)
    thread.start()
    yield running
    running.stop()
    running.stop()
    thread.join(20)
    assert not thread.is_alive()


def ask(
    server: BackendServer, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    packed = None if body is None else json.dumps(body)
    kind = {"Content-Type": "application/json"}
    connection.request(method, path, packed, {**BASIC, **kind, **headers})
    answer = connection.getresponse()
    content = json.loads(answer.read())
    connection.close()
    return answer.status, content


def test_it_serves_on_a_free_port(server: BackendServer) -> None:
    assert server.port > 0
    assert ask(server, "GET", "/health")[1]["status"] == "UP"


def test_a_body_over_the_limit_gets_the_envelope(server: BackendServer) -> None:
    status, answer = ask(server, "POST", "/predict", make_predict("a" * 15_000))

    assert (status, answer["code"]) == (413, "too_large")


def test_a_body_far_over_the_limit_is_not_even_read(server: BackendServer) -> None:
    status, answer = ask(server, "POST", "/predict", **{"Content-Length": "99000000"})

    assert (status, answer["code"]) == (413, "too_large")


def test_no_ordinary_body_or_answer_is_written_to_a_file(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[Any] = []
    make = tempfile.TemporaryFile

    def remember(*arguments: Any) -> Any:
        files.append(arguments)
        return make(*arguments)

    monkeypatch.setattr(tempfile, "TemporaryFile", remember)
    running = BackendServer(shared_world.client().application, shared_world.settings)
    thread = threading.Thread(target=running.run)
    thread.start()

    status, _ = ask(running, "POST", "/predict", make_predict(*(["a" * 1000] * 4000)))
    of_ordinary = len(files)
    ask(running, "POST", "/predict", make_predict("a" * 9_000_000))
    running.stop()
    thread.join(20)

    assert (status, of_ordinary) == (200, 0)
    assert len(files) == 1  # that is where waitress makes them


def test_rubbish_gets_the_envelope(server: BackendServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/9.9 rubbish\r\nx\r\n\r\n")
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.0 400")
    assert b'"code": "bad_request"' in answer


@pytest.mark.parametrize(
    "head",
    [
        "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
        "Transfer-Encoding: chunked\r\n",
        "POST /webhook HTTP/1.0\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
        "POST /webhook HTTP/1.1\r\nContent-Length: 2\r\n",
    ],
    ids=["both lengths", "chunks in HTTP/1.0", "two lengths", "no host"],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(
    server: BackendServer, head: str
) -> None:
    answer = send(server, f"{head}Authorization: {BASIC['Authorization']}\r\n\r\n".encode())

    assert answer.split(b" ")[1] == b"400"
    assert b'"code": "bad_request"' in answer


def test_a_page_of_another_name_does_not_reach_it(server: BackendServer) -> None:
    status, answer = ask(server, "GET", "/api/v1/status", Host="evil.example")

    assert (status, answer["code"]) == (421, "unknown_host")
    assert "allowed_hosts" in answer["error"]
    assert ask(server, "GET", "/health", Host="probe.example")[0] == 200


def send(server: BackendServer, *parts: bytes) -> bytes:
    """Send bytes over a connection of their own, and return all that is answered."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for part in parts:
            connection.sendall(part)
        return connection.makefile("rb").read()


@pytest.mark.parametrize("path", ["/predict", "/webhook", "/nowhere", "/health"])
@pytest.mark.parametrize("framing", ["length", "chunks", "expect"])
def test_nothing_of_a_strangers_body_is_kept(
    server: BackendServer, monkeypatch: pytest.MonkeyPatch, path: str, framing: str
) -> None:
    kept: list[int] = []
    append = OverflowableBuffer.append
    monkeypatch.setattr(
        OverflowableBuffer,
        "append",
        lambda self, part: (kept.append(len(part)), append(self, part)),
    )
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
    part = b"a" * 9_000
    parts = {
        "length": (f"{head}Content-Length: 9000\r\n\r\n".encode(), part),
        "chunks": (
            f"{head}Transfer-Encoding: chunked\r\n\r\n2328\r\n".encode(),
            part,
            b"\r\n0\r\n\r\n",
        ),
        "expect": (f"{head}Expect: 100-continue\r\nContent-Length: 9000\r\n\r\n".encode(),),
    }

    answer = send(server, *parts[framing])

    assert b"\r\nContent-Security-Policy: default-src 'none'" in answer
    assert b"\r\nX-Request-Id: " in answer
    assert answer.split(b" ")[1] == (b"413" if path == "/health" else b"401")
    assert not any(size > 4_000 for size in kept)  # answers go through such buffers too


def test_idle_connections_make_room_for_others(
    server: BackendServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_backend.channel._MOST_CONNECTIONS", 20)
    with ExitStack() as stack:
        known = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", server.port)))
        known.request("GET", "/health", headers=BASIC)
        known.getresponse().read()
        strangers = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            for _ in range(60)
        ]
        [one.sendall(b"GET /health HTTP/1.1\r\n") for one in strangers[30:]]

        status, _ = ask(server, "GET", "/versions")
        known.request("GET", "/health", headers=BASIC)

        assert (status, known.getresponse().status) == (200, 200)
        strangers[0].settimeout(10)
        assert strangers[0].recv(1) == b""  # closed by the server


def test_wrong_passwords_wait_and_nobody_else_does(server: BackendServer) -> None:
    guess = {"Authorization": "Basic " + base64.b64encode(b"annotator:a guess").decode()}

    def try_one(_i: int) -> tuple[int, float]:
        began = time.monotonic()
        return ask(server, "GET", "/versions", **guess)[0], time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:
        guesses = pool.map(try_one, range(7))
        time.sleep(0.3)
        began = time.monotonic()
        status, _ = ask(server, "GET", "/versions")
        took_s = time.monotonic() - began
        told = list(guesses)

    assert [one[0] for one in told] == [401] * 7
    assert sorted(took > 0.9 for _, took in told) == [False] * 5 + [True] * 2
    assert (status, took_s < 0.9) == (200, True)


def test_health_waits_for_no_thread(
    server: BackendServer, shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(
        "ml_backend.studio_routes.receive_event", lambda *_: go_on.wait(20) and False
    )
    n_threads = shared_world.settings.threads + 4
    event = {"action": "TASKS_CREATED", "project": {"id": 5}}
    waiting = [
        threading.Thread(target=ask, args=(server, "POST", "/webhook", event))
        for _ in range(n_threads + 4)
    ]
    [one.start() for one in waiting]
    time.sleep(0.3)

    began = time.monotonic()
    status, _ = ask(server, "GET", "/health")
    took_s = time.monotonic() - began
    go_on.set()
    [one.join() for one in waiting]

    assert (status, took_s < 1.0) == (200, True)


def test_a_client_cannot_claim_to_be_a_proxy(server: BackendServer) -> None:
    status, _ = ask(server, "GET", "/health", **{"X-Forwarded-Host": "elsewhere", "Forwarded": "x"})

    assert status == 200


def test_a_taken_port_is_told_with_what_to_do(shared_world: World) -> None:
    app = shared_world.client().application
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = shared_world.settings.model_copy(update={"port": port})

        with pytest.raises(ConfigError, match=rf"127.0.0.1:{port} is taken.*--port"):
            BackendServer(app, settings)


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_a_host_that_is_not_ours_is_told(shared_world: World, host: str) -> None:
    settings = shared_world.settings.model_copy(update={"host": host})

    with pytest.raises(ConfigError, match="cannot listen on"):
        BackendServer(shared_world.client().application, settings)


def test_a_signal_ends_it_after_the_answers_under_way(
    shared_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, answers = Predictor.predict, []

    def slow(self: Predictor, sentences: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        return predict(self, sentences)

    def call(server: BackendServer) -> None:
        answers.append(ask(server, "POST", "/predict", make_predict("never seen before")))

    callers: list[threading.Thread] = []

    def start(server: BackendServer) -> None:
        callers.append(threading.Thread(target=call, args=(server,)))
        callers[0].start()

    monkeypatch.setattr(Predictor, "predict", slow)
    before = signal.getsignal(signal.SIGTERM)
    serve(_app(shared_world), shared_world.settings, on_ready=start)
    callers[0].join(20)

    assert [status for status, _ in answers] == [200]
    assert signal.getsignal(signal.SIGTERM) is before


def _app(world: World) -> Flask:
    return world.client().application


def test_quick_calls_are_answered_while_every_prediction_thread_is_busy(
    shared_world: World, server: BackendServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, predict = threading.Event(), Predictor.predict

    def slow(self: Predictor, sentences: Any) -> Any:
        assert go_on.wait(20)
        return predict(self, sentences)

    monkeypatch.setattr(Predictor, "predict", slow)
    requests = [
        threading.Thread(target=ask, args=(server, "POST", "/predict", make_predict(f"new {i}")))
        for i in range(shared_world.settings.threads + 8)
    ]
    [request.start() for request in requests]

    status, _ = ask(server, "GET", "/health")
    go_on.set()
    [request.join() for request in requests]

    assert status == 200
