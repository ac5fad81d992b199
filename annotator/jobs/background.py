"""Running our own commands in the background, and ending them with all their children."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.errors import JobError
from annotator.studio.processes import end_group

__all__ = ["BackgroundCommands"]

_START_S = 120.0


class BackgroundCommands:
    """Named processes of one project, each with its output in ``logs/<name>.log``. POSIX only.

    ``logs`` is made when the first process starts; ``environment`` adds to that of this process.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs = logs
        self._environment = dict(environment)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> int:
        """Start ``annotator ARGUMENTS`` and return its process id."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, "-m", "annotator.cli.main", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment, **(environment or {})},
                start_new_session=True,
            )
        self._children[name] = child
        return child.pid

    def run(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Run a command to its end.

        Raises:
            JobError: if it fails; the message names its log.
        """
        self.start(name, *arguments, environment=environment)
        if code := self._children.pop(name).wait():
            raise JobError(f"the {name} ended with code {code}; see {self.logs / f'{name}.log'}")

    def wait_for_backend(self, name: str, url: str, *, login: str = "") -> None:
        """Wait until the backend answers at ``url``.

        With a ``login``, an Authorization header, wait until it has loaded a model.

        Raises:
            JobError: if it ends or does not answer; the message names its log.
        """
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            self.check(name)
            health = _health(url, login)
            if health is not None and (health.get("model_version") or not login):
                return
            time.sleep(0.2)
        raise JobError(f"the {name} does not answer at {url}; see {self.logs / f'{name}.log'}")

    def check(self, *names: str) -> None:
        """Raise JobError if one of these processes (by default, of all) has ended."""
        for name in names or tuple(self._children):
            child = self._children.get(name)
            if child is not None and child.poll() is not None:
                raise JobError(
                    f"the {name} ended with code {child.returncode}; see "
                    f"{self.logs / f'{name}.log'}"
                )

    def stop(self, name: str, *, timeout_s: float = 15) -> int:
        """End a process and its children, SIGTERM before SIGKILL; return its exit code."""
        child = self._children.pop(name)
        end_group(child.pid, timeout_s=timeout_s)
        return child.wait()

    def kill(self, name: str) -> None:
        """Kill a process at once, as a power cut would."""
        child = self._children.pop(name)
        child.kill()
        child.wait()

    def close(self) -> None:
        """Stop all processes. May be called twice."""
        for name in tuple(self._children):
            self.stop(name)


def _health(url: str, login: str) -> dict[str, Any] | None:
    headers = {"Authorization": login} if login else {}
    request = urllib.request.Request(f"{url}/health", headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
            found = json.loads(answer.read())
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
