"""The client against a small HTTP server that answers what it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from annotator.errors import InputError, StudioError
from annotator.studio.client import StudioClient

TOKEN = "0123456789abcdef0123456789abcdef01234567"


class Script:
    """Answers each request with the next (status, body); the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = [(200, {})]
        self.seen: list[tuple[str, str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.seen.append((self.command, self.path, self.headers.get("Authorization")))
                status, body = outer.answers[0]
                outer.answers = outer.answers[1:] or outer.answers
                payload = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    yield script
    script.server.shutdown()
    script.server.server_close()
    script.thread.join()


@pytest.fixture
def client(script: Script) -> Iterator[StudioClient]:
    with StudioClient(f"{script.url}/prefix/", TOKEN, timeout_s=5) as client:
        yield client


def test_a_path_prefix_and_the_legacy_token_are_used(script: Script, client: StudioClient) -> None:
    script.answers = [(200, {"release": "1.23.2"})]

    assert client.version() == "1.23.2"
    assert script.seen == [("GET", "/prefix/api/version", f"Token {TOKEN}")]


def test_reading_is_tried_three_times(script: Script, client: StudioClient) -> None:
    script.answers = [(502, b"<html>"), (503, {}), (200, {"email": "a@b"})]

    assert client.whoami() == {"email": "a@b"}
    assert len(script.seen) == 3


def test_reading_gives_up_after_three_times(script: Script, client: StudioClient) -> None:
    script.answers = [(500, {"detail": "secret text"})]

    with pytest.raises(StudioError, match=r"could not check the token at http.*HTTP 500") as caught:
        client.whoami()

    assert len(script.seen) == 3
    assert "secret" not in str(caught.value)


def test_a_push_is_never_repeated(script: Script, client: StudioClient) -> None:
    script.answers = [(503, {})]

    with pytest.raises(StudioError, match="push 1 predictions to project 1"):
        client.push_predictions(1, [{"task": 1, "result": []}])

    assert len(script.seen) == 1


def test_a_refusal_is_not_repeated(script: Script, client: StudioClient) -> None:
    script.answers = [(403, {})]

    with pytest.raises(StudioError, match="owner or administrator"):
        client.project(1)

    assert len(script.seen) == 1


@pytest.mark.parametrize("answer", [b"<html>not it</html>", [], "text"], ids=["html", "[]", "str"])
def test_an_answer_of_something_else_is_asked_about(
    script: Script, client: StudioClient, answer: Any
) -> None:
    script.answers = [(200, answer)]

    with pytest.raises(StudioError, match="is this Label Studio"):
        client.whoami()


def test_fewer_tasks_than_imported_is_an_error(script: Script, client: StudioClient) -> None:
    script.answers = [(201, {"task_count": 1, "task_ids": [1]})]

    with pytest.raises(StudioError, match="it reports 1 tasks"):
        client.import_tasks(1, [{"text": "a"}, {"text": "b"}])


def test_nothing_to_send_sends_nothing(script: Script, client: StudioClient) -> None:
    assert client.import_tasks(1, []) == []
    assert client.push_predictions(1, []) == 0
    assert script.seen == []


def test_a_time_without_zone_is_refused(client: StudioClient) -> None:
    with pytest.raises(InputError, match="time zone"):
        list(client.tasks(1, updated_after=datetime(2026, 1, 1)))


def test_nobody_listening_is_explained() -> None:
    with (
        StudioClient("http://127.0.0.1:9", TOKEN) as client,
        pytest.raises(StudioError, match=r"no connection .*is Label Studio running"),
    ):
        client.create_annotation(1, {"result": []})


def test_an_address_that_speaks_no_tls_is_not_tried_again(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers: list[Any] = []

    def remember(_: Any, caller: Any) -> bool:
        callers.append(caller)
        return True

    monkeypatch.setattr(script.server, "verify_request", remember)

    with (
        StudioClient(script.url.replace("http://", "https://"), TOKEN) as client,
        pytest.raises(StudioError, match="its address begins with http://"),
    ):
        client.whoami()

    assert len(callers) == 1


@pytest.mark.parametrize(
    ("url", "token"),
    [("localhost:8080", TOKEN), ("http://h", " "), ("http://h", "a\nb"), ("http://h", "\u00e4")],
    ids=["no-scheme", "empty", "line-break", "not-ascii"],
)
def test_an_unusable_address_or_token_is_refused_at_once(url: str, token: str) -> None:
    with pytest.raises(StudioError, match=r"https://|copy it from Account"):
        StudioClient(url, token)


def test_an_expired_personal_token_is_refused_at_once() -> None:
    token = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjEwMDAwMDAwMDB9.c2ln"

    with pytest.raises(StudioError, match=r"could not use the token .*make a new one") as caught:
        StudioClient("http://127.0.0.1:9", token)

    assert token not in str(caught.value)


def test_neither_token_nor_password_show_in_a_repr() -> None:
    with StudioClient("http://user:geheim@127.0.0.1:9", TOKEN) as client:
        assert repr(client) == "StudioClient(url='http://127.0.0.1:9')"
