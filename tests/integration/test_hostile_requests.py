"""Requests that are far too large, at a real server: refused or handled, and it lives on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_world import World, make_predict

from annotator.bench.load import Caller
from annotator.jobs.background import BackgroundCommands
from annotator.settings import load_settings
from annotator.studio.processes import free_port

LONG = "The patient took aspirin and had a rash 😀.\r\n" * 45_000  # about 2 million characters


class Served:
    """A backend in a process of its own."""

    def __init__(self, pid: int, caller: Caller) -> None:
        self.pid, self.caller = pid, caller

    def post(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Send bytes as JSON; return status and answer."""
        status, answer = self.caller.call("POST", path, body)
        return status, json.loads(answer)

    @property
    def peak_mb(self) -> float:
        """The most memory it has held."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        line = next(line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3


@pytest.fixture(scope="module")
def served(lasting_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A project's backend, as its user starts it."""
    settings = load_settings(lasting_world.settings.home)
    logs = tmp_path_factory.mktemp("logs")
    commands = BackgroundCommands(logs, {"ANNOTATOR_HOME": str(settings.home)})
    port = free_port("127.0.0.1")
    pid = commands.start("backend", "serve", "--port", str(port))
    commands.wait_for_backend("backend", f"http://127.0.0.1:{port}", with_model=True)
    password = settings.backend_password.get_secret_value()
    yield Served(
        pid, Caller(host="127.0.0.1", port=port, user=settings.backend_user, password=password)
    )
    commands.close()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is read from /proc")
def test_a_body_of_100_mb_is_refused_and_not_kept_in_memory(served: Served) -> None:
    before = served.peak_mb

    status, answer = served.post("/predict", b'{"tasks": "' + b"a" * 100_000_000 + b'"}')

    assert (status, answer["code"]) == (413, "too_large")
    assert served.peak_mb - before < 100
    assert served.caller.ok("GET", "/health")


def test_a_million_tasks_are_refused_and_the_server_lives_on(served: Served) -> None:
    body = b'{"tasks": [' + b",".join([b'{"data":{"text":"a"}}'] * 1_000_000) + b"]}"

    status, answer = served.post("/predict", body)

    assert (status, answer["code"]) == (413, "too_many_tasks")
    assert served.caller.ok("GET", "/health")


def test_a_text_of_two_million_characters_is_predicted_to_its_end(served: Served) -> None:
    status, answer = served.post("/predict", json.dumps(make_predict(LONG)).encode())

    assert status == 200, answer
    result = answer["results"][0]["result"]
    last = max(item["value"]["end"] for item in result if item["type"] == "labels")
    assert last > len(LONG) - 100
    assert served.caller.ok("GET", "/health")


def test_a_text_over_the_limit_is_refused_with_the_setting_that_limits_it(served: Served) -> None:
    status, answer = served.post("/predict", json.dumps(make_predict(LONG + LONG)).encode())

    assert (status, answer["code"]) == (413, "text_too_long")
    assert "max_text_chars" in answer["error"]
