"""A private Label Studio on this machine, for trying things out and for tests. POSIX only.

It listens on 127.0.0.1, sends nothing anywhere, and may call backends on this machine.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, BinaryIO, Final

from annotator.errors import StudioError
from annotator.studio.processes import end_group, is_free, is_running, process_start

__all__ = ["LABEL_STUDIO_VERSION", "RunningStudio", "StudioServer"]

LABEL_STUDIO_VERSION: Final = "1.23.2"

_HOST: Final = "127.0.0.1"
_FIRST_PORT: Final = 8080
_START_TIMEOUT_S: Final = 300.0
_STOP_TIMEOUT_S: Final = 10.0
_USERNAME: Final = "admin@example.com"
# Prefixes of variables through which another server's configuration would leak into this one.
_FOREIGN: Final = (
    "LABEL_STUDIO_", "DJANGO_", "POSTGRE_", "REDIS_", "ML_", "WEBHOOK_", "SSRF_", "PYTHON",
    "DATABASE_", "USE_DEFAULT_BANNED", "USER_ADDITIONAL_BANNED", "STORAGE_", "VIRTUAL_ENV",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStudio:
    """A Label Studio that answers. The password and token are those of its only user."""

    url: str
    username: str
    password: str
    token: str
    pid: int
    log: Path

    def __repr__(self) -> str:
        return f"RunningStudio(url={self.url!r}, username={self.username!r}, pid={self.pid})"


class StudioServer:
    """Installs, starts and stops one Label Studio whose files all live in ``folder``.

    Args:
        folder: Holds the virtual environment, the data, the log and ``credentials.json`` (mode
            0600, made once).
        port: TCP port on 127.0.0.1; 0 takes the port of the last start if it is free, else the
            first free one from 8080 on.
        venv: An existing virtual environment to install into or use, instead of ``folder/venv``.
        variables: Label Studio settings that override those of a private server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        venv: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.expanduser().resolve()
        self.venv = (venv or self.folder / "venv").expanduser().absolute()
        self.log = self.folder / "label-studio.log"
        self._port = port
        self._state = self.folder / "server.json"
        self._credentials = self.folder / "credentials.json"
        self._child: subprocess.Popen[bytes] | None = None
        self._variables = dict(variables or {})

    def is_installed(self) -> bool:
        """Return whether the pinned version is in the virtual environment."""
        pattern = f"lib/python*/site-packages/label_studio-{LABEL_STUDIO_VERSION}.dist-info/RECORD"
        return self._program.is_file() and any(self.venv.glob(pattern))

    def install(self, on_output: Callable[[str], None] = lambda line: None) -> None:
        """Create the virtual environment and install the pinned version, unless it is there.

        ``on_output`` is called with each line that pip prints.

        Raises:
            StudioError: if Python's venv or pip fails.
        """
        if self.is_installed():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        python = self.venv / "bin" / "python"
        if not (self.venv / "bin" / "pip").exists():
            _run([sys.executable, "-m", "venv", str(self.venv)], on_output, what="make a venv")
        command = [
            *(str(python), "-m", "pip", "install", "--disable-pip-version-check"),
            f"label-studio=={LABEL_STUDIO_VERSION}",
        ]
        _run(command, on_output, what=f"install Label Studio {LABEL_STUDIO_VERSION}")
        if not self.is_installed():
            raise StudioError(f"pip installed no label-studio program into {self.venv}")

    def running(self) -> RunningStudio | None:
        """Return the server that was started in this folder, if it still runs and answers."""
        state = _read_json(self._state)
        pid, port = state.get("pid"), state.get("port")
        if not isinstance(pid, int) or not isinstance(port, int) or not self._is_ours(state):
            return None
        return self._describe(pid, port) if self._answers(port) else None

    def start(self) -> RunningStudio:
        """Start the server, or adopt the one that runs in this folder; wait until it answers.

        Raises:
            StudioError: if it is not installed, the port is taken, or it does not come up.
        """
        state = _read_json(self._state)
        if self._is_ours(state):
            return self._wait(int(state["pid"]), int(state["port"]))
        if not self.is_installed():
            raise StudioError(f"Label Studio is not installed in {self.venv}: install it first")
        port = self._choose_port(state.get("port"))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "data").mkdir(exist_ok=True)
        environment = self._environment(port)
        with _private_file(self.log) as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [
                    *(str(self._program), "start", "--no-browser", "--internal-host", _HOST),
                    *("--port", str(port), "--enable-legacy-api-token", "--log-level", "INFO"),
                ],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        pid = self._child.pid
        _write_json(self._state, {"pid": pid, "started": process_start(pid), "port": port})
        try:
            return self._wait(pid, port)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop the server that was started in this folder; return whether there was one.

        Only the process recorded at the start and its group are signalled: first SIGTERM, then
        SIGKILL for what is left after ten seconds.
        """
        state = _read_json(self._state)
        was_running = self._is_ours(state)
        if was_running:
            end_group(int(state["pid"]), timeout_s=_STOP_TIMEOUT_S)
        if self._child is not None:
            self._child.wait()
            self._child = None
        if state:
            _write_json(self._state, {"port": state.get("port")})
        return was_running

    @property
    def _program(self) -> Path:
        return self.venv / "bin" / "label-studio"

    def _is_ours(self, state: Mapping[str, Any]) -> bool:
        """Return whether the recorded process lives, and is not another with the same id."""
        pid = state.get("pid")
        return (
            isinstance(pid, int) and is_running(pid) and state.get("started") == process_start(pid)
        )

    def _choose_port(self, last: Any) -> int:
        if self._port:
            if not is_free(_HOST, self._port):
                raise StudioError(
                    f"port {self._port} on {_HOST} is taken: stop what uses it or choose another"
                )
            return self._port
        if isinstance(last, int) and is_free(_HOST, last):
            return last
        for port in range(_FIRST_PORT, _FIRST_PORT + 200):
            if is_free(_HOST, port):
                return port
        raise StudioError(f"no free port on {_HOST} from {_FIRST_PORT} on")

    def _environment(self, port: int) -> dict[str, str]:
        """Return this process's environment without other servers' settings, with our own."""
        secret = self._secrets()
        return {
            **{name: one for name, one in os.environ.items() if not name.startswith(_FOREIGN)},
            # In the environment, since every user of the machine can read a command line.
            "LABEL_STUDIO_USERNAME": secret["username"],
            "LABEL_STUDIO_PASSWORD": secret["password"],
            "LABEL_STUDIO_USER_TOKEN": secret["token"],
            "SECRET_KEY": secret["secret_key"],
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder / "data"),
            "LABEL_STUDIO_HOST": f"http://{_HOST}:{port}",
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "DJANGO_DB": "sqlite",
            "DEBUG": "false",
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "0",
            "FEATURE_FLAGS_OFFLINE": "true",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "DO_NOT_TRACK": "1",
            **self._variables,
        }

    def _secrets(self) -> dict[str, str]:
        """Return the credentials of this folder, created on first use."""
        stored = _read_json(self._credentials)
        names = ("username", "password", "token", "secret_key")
        if all(isinstance(stored.get(name), str) and stored[name] for name in names):
            return {name: str(stored[name]) for name in names}
        if any((self.folder / "data").glob("*.sqlite3")):
            raise StudioError(
                f"{self._credentials} is missing or damaged, but there is a database: "
                "restore the file, or remove the folder to begin anew"
            )
        made = {
            "username": _USERNAME,
            "password": secrets.token_urlsafe(18),
            "token": secrets.token_hex(20),
            "secret_key": secrets.token_urlsafe(48),
        }
        _write_json(self._credentials, made)
        return made

    def _wait(self, pid: int, port: int) -> RunningStudio:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if not is_running(pid) or (self._child is not None and self._child.poll() is not None):
                raise StudioError(f"Label Studio stopped while starting; see {self.log}")
            if self._answers(port):
                return self._describe(pid, port)
            time.sleep(0.25)
        waited = f"{_START_TIMEOUT_S:.0f} s"
        raise StudioError(
            f"Label Studio did not answer on port {port} within {waited}; see {self.log}"
        )

    def _answers(self, port: int) -> bool:
        """Return whether what listens there knows this folder's token, hence is this server."""
        token = self._secrets()["token"]
        connection = HTTPConnection(_HOST, port, timeout=5)
        try:
            headers = {"Authorization": f"Token {token}"}
            connection.request("GET", "/api/current-user/whoami", headers=headers)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _describe(self, pid: int, port: int) -> RunningStudio:
        secret = self._secrets()
        return RunningStudio(
            url=f"http://{_HOST}:{port}",
            username=secret["username"],
            password=secret["password"],
            token=secret["token"],
            pid=pid,
            log=self.log,
        )


def _run(command: list[str], on_output: Callable[[str], None], *, what: str) -> None:
    environment = {
        name: one for name, one in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    with subprocess.Popen(  # noqa: S603 - our own interpreter with fixed arguments, no shell
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            on_output(line.rstrip())
    if process.returncode:
        raise StudioError(f"could not {what}: exit status {process.returncode}; see its output")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write aside and rename; the file is readable only by its owner from the first byte on."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with _private_file(aside) as file:
        file.write(json.dumps(value, indent=1).encode())
    aside.replace(path)


def _private_file(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")
