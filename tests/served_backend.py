"""The backend as people start it: a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend_world import BASIC

from annotator.settings import write_secrets

Served = tuple[subprocess.Popen[str], int]


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """Serve a project; yields the process and its port, and kills what is left of it."""
    write_secrets(home, {"backend_password": "correct horse"})
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "-m", "annotator.cli.main", "serve", "--port", str(port)],
        env={**os.environ, "ANNOTATOR_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process, port
        finally:
            process.kill()


def ask(port: int, path: str, body: Any = None, *, timeout_s: float = 5) -> tuple[int, Any]:
    """Send a request, with a body that is JSON or becomes it; return status and answer."""
    packed = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=packed,
        headers={"Content-Type": "application/json", **BASIC},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def wait_for_health(port: int, key: str) -> dict[str, Any]:
    """Ask until a key of ``/health`` has a value."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        try:
            health: dict[str, Any] = ask(port, "/health")[1]
        except OSError:
            health = {}
        if health.get(key):
            return health
        time.sleep(0.1)
    raise AssertionError(f"/health never told {key}")
