"""The processes of the demo (Label Studio, backend, worker): start, find and stop them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotator.errors import ConfigError, JobError
from annotator.jobs.background import BackgroundCommands
from annotator.studio.processes import end_group, is_free, is_running, process_start
from annotator.studio.server import RunningStudio, StudioServer

__all__ = ["Stage"]

_PORTS = range(9090, 9190)


class Stage:
    """Owns the processes of the demo; those left by an earlier, killed demo are stopped first.

    Args:
        home: The demo's project folder.
        port: The backend's port; None takes the last one if it is free, else the next free one.
        studio_port: Label Studio's port; 0 chooses in the same way.
        studio_venv: A virtual environment that has (or gets) Label Studio.
    """

    def __init__(
        self, home: Path, *, port: int | None, studio_port: int, studio_venv: Path | None
    ) -> None:
        self.home = home
        self.studio = StudioServer(home / "label-studio", port=studio_port, venv=studio_venv)
        self._port = port
        self._state_file = home / "demo.json"
        self._commands = BackgroundCommands(home / "logs", {})
        self._started: list[str] = []

    def clear(self) -> None:
        """Stop the backend and worker of a demo that was killed. Label Studio is reused."""
        for name, known in self._read().get("processes", {}).items():
            pid = known["pid"]
            if is_running(pid) and process_start(pid) == known["started"]:
                end_group(pid, timeout_s=10)
            self._forget(name)

    def start_studio(self, on_output: Callable[[str], None]) -> RunningStudio:
        """Install Label Studio if it is missing, start it, and wait until it answers."""
        self.studio.install(on_output)
        return self.studio.start()

    def choose_port(self) -> int:
        """Return the backend's port, the same at every start as long as it is free.

        Raises:
            ConfigError: if the requested port is taken.
        """
        last = self._read().get("port")
        if self._port is not None:
            if not is_free("127.0.0.1", self._port):
                raise ConfigError(f"port {self._port} is taken; choose another with --port")
            chosen = self._port
        else:
            wanted = [last] if isinstance(last, int) else []
            free = (p for p in [*wanted, *_PORTS] if is_free("127.0.0.1", p))
            chosen = next(free, 0)
            if chosen == 0:
                raise ConfigError("no port from 9090 to 9189 is free; choose one with --port")
        self._write({**self._read(), "port": chosen})
        return chosen

    @property
    def logs(self) -> Path:
        """The folder of the commands' output."""
        return self._commands.logs

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        """Start one of our own commands in the background, its output in ``logs/<name>.log``."""
        pid = self._commands.start(name, *arguments, environment=environment)
        self._started.append(name)
        state = self._read()
        state.setdefault("processes", {})[name] = {"pid": pid, "started": process_start(pid)}
        self._write(state)

    def wait_for_backend(self, url: str) -> None:
        """Wait until the backend answers.

        Raises:
            JobError: if it exits or does not answer in time; the message names its log.
        """
        self._commands.wait_for_backend("backend", url)

    def check(self, *names: str) -> None:
        """Raise ``JobError`` if one of these processes has ended."""
        try:
            self._commands.check(*names)
        except JobError as error:
            raise JobError(f"{error}, then run annotator demo again") from error

    def close(self) -> None:
        """Stop everything that was started. May be called twice."""
        self._commands.close()
        for name in self._started:
            self._forget(name)
        self._started.clear()
        self.studio.stop()

    def _forget(self, name: str) -> None:
        state = self._read()
        state.get("processes", {}).pop(name, None)
        self._write(state)

    def _read(self) -> dict[str, Any]:
        try:
            value = json.loads(self._state_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return value if isinstance(value, dict) else {}

    def _write(self, state: Mapping[str, Any]) -> None:
        aside = self._state_file.with_suffix(".new")
        aside.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        aside.replace(self._state_file)
