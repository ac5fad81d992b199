from __future__ import annotations

from typing import Any

import pytest
from backend_world import BASIC, World, make_predict
from flask.testing import FlaskClient

from annotator.errors import StoreError
from annotator.store.database import Database

KEYS = {"ok", "error", "code", "errors", "request_id"}


def post(client: FlaskClient, body: bytes, *, kind: str = "application/json") -> Any:
    return client.post("/predict", data=body, headers=BASIC, content_type=kind)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"tasks": [], "x": NaN}', "NaN"),
        (b'{"tasks": [], "x": -Infinity}', "-Infinity"),
        (b'{"tasks": [], "x": 1e999}', "out of range"),
        (b'{"tasks": [], "x": ' + b"9" * 5000 + b"}", "out of range"),
        (b"[" * 100_000, "too deep"),
        (b"[]", "found a list"),
        (b"7", "found a number"),
        (b"null", "found null"),
        (b"{}", "tasks: "),
        (b'{"tasks": {}}', "tasks: "),
        (b'{"tasks": [1]}', "tasks.0: "),
        (b'{"tasks": [], "params": []}', "params: "),
    ],
    ids=[
        "empty", "broken", "bytes", "NaN", "infinity", "huge float", "huge integer", "deep",
        "list", "number", "null", "no tasks", "tasks object", "task number", "params list",
    ],
)  # fmt: skip
def test_a_body_that_is_wrong_is_refused_with_the_reason(
    shared_client: FlaskClient, body: bytes, reason: str
) -> None:
    answer = post(shared_client, body)

    assert answer.status_code == 400
    assert answer.json.keys() == KEYS
    assert answer.json["ok"] is False
    assert reason in answer.json["error"]


def test_a_body_that_does_not_say_it_is_json_is_refused(shared_client: FlaskClient) -> None:
    answer = post(shared_client, b"{}", kind="text/plain")

    assert (answer.status_code, answer.json["code"]) == (415, "not_json")


def test_a_body_that_is_too_large_is_refused(shared_world: World) -> None:
    client = shared_world.client(max_body_mb=0.001)

    answer = client.post("/predict", json=make_predict("a" * 2000), headers=BASIC)

    assert answer.status_code == 413
    assert answer.json["error"] == "the request body is larger than max_body_mb = 0.001"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/predict", 405), ("GET", "/static/nothing.js", 404)],
)
def test_addresses_that_are_wrong_get_the_envelope(
    shared_client: FlaskClient, method: str, path: str, status: int
) -> None:
    answer = shared_client.open(path, method=method, headers=BASIC)

    assert answer.status_code == status
    assert answer.json.keys() == KEYS


def test_a_wrong_method_is_told_which_are_right(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/predict", headers=BASIC)

    assert "POST" in answer.headers["Allow"]


def test_a_database_that_fails_is_our_fault_and_may_be_tried_again(
    shared_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise StoreError("database: disk is full; free some disk space")

    monkeypatch.setattr(Database, "read", fail)
    answer = shared_client.get("/api/v1/status", headers=BASIC)

    assert answer.status_code == 503
    assert answer.json["code"] == "database_unavailable"
    assert "Retry-After" in answer.headers


def test_a_crash_tells_the_request_id_and_nothing_else(
    shared_client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("the patient took aspirin")

    monkeypatch.setattr(Database, "read", fail)
    answer = shared_client.get("/api/v1/status", headers={**BASIC, "X-Request-Id": "r-17"})

    told = "".join(capsys.readouterr())
    assert answer.status_code == 500
    assert answer.json["request_id"] == "r-17"
    assert "aspirin" not in answer.get_data(as_text=True) + told
    assert "request.crashed" in told
    assert "r-17" in told


@pytest.mark.parametrize("given", ["a b", "x" * 65, "ä"], ids=["blank", "long", "umlaut"])
def test_a_strange_request_id_is_replaced(shared_client: FlaskClient, given: str) -> None:
    answer = shared_client.get("/health", headers={"X-Request-Id": given})

    assert len(answer.headers["X-Request-Id"]) == 32


@pytest.mark.parametrize("path", ["/", "/health", "/api/v1/status", "/nowhere"])
def test_every_answer_carries_the_protective_headers(shared_client: FlaskClient, path: str) -> None:
    headers = shared_client.get(path, headers=BASIC).headers

    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "name",
    [
        *("../annotator.toml", "..%2fsecrets.toml", "%2e%2e/pyproject.toml", "app%00.js"),
        *("a" * 300, f"{'a' * 300}.js", f"{'a' * 5000}.css", "app.js%00", "%ff.js", "vendor"),
    ],
)
def test_only_the_files_of_the_page_are_served(shared_client: FlaskClient, name: str) -> None:
    assert shared_client.get(f"/static/{name}", headers=BASIC).status_code == 404


def test_the_page_takes_nothing_from_another_host(shared_client: FlaskClient) -> None:
    pages = [
        shared_client.get(path, headers=BASIC).get_data(as_text=True)
        for path in ("/", "/static/app.js", "/static/app.css")
    ]

    assert "//" not in pages[0].replace("<!doctype html>", "")
    assert "innerHTML" not in pages[1]
    assert "url(" not in pages[2]
