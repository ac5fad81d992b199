from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from backend_world import BASIC, World, make_predict
from flask import Flask

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
