"""A project as a user makes it: commands in processes of their own, and all that they said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from annotator.jobs.background import BackgroundCommands
from annotator.settings import Settings, load_settings
from annotator.store.annotations import current_revision, studio_annotations
from annotator.store.database import Database
from annotator.store.projects import get_project
from annotator.studio.client import StudioClient
from annotator.studio.server import RunningStudio

__all__ = ["Loop", "Stored", "wait_for"]

T = TypeVar("T")

# No retraining and no pulls in between: what arrives has arrived by webhook.
SETTINGS = "epochs = 2\nmin_steps = 40\nretrain_after = 100000\nsync_interval_s = 100000.0\n"


def wait_for(look: Callable[[], T | None], what: str, *, timeout_s: float = 60) -> T:
    """Look again until there is something to see."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen within {timeout_s:.0f} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An annotation as our database has it."""

    state: str
    raw: Any
    diff: dict[str, Any] | None
    parent_prediction: int | None
    parent_version: str | None


@dataclass
class Loop:
    """One project, its processes, and Label Studio beside it."""

    home: Path
    studio: RunningStudio
    port: int
    number: int = 0
    _background: BackgroundCommands = field(init=False)

    def __post_init__(self) -> None:
        variables = {"ANNOTATOR_HOME": str(self.home)}
        self._background = BackgroundCommands(self.said, variables)

    @property
    def url(self) -> str:
        """Where the backend listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        """The project's settings, as every command reads them."""
        return load_settings(self.home)

    @property
    def said(self) -> Path:
        """The folder of all that any process of ours printed or logged."""
        folder = self.home.parent / "said"
        folder.mkdir(exist_ok=True)
        return folder

    # ------------------------------------------------------------------ processes

    def run(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        done = subprocess.run(
            [sys.executable, "-m", "annotator.cli.main", *map(str, arguments)],
            env={**os.environ, "ANNOTATOR_HOME": str(self.home), **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        with (self.said / "commands.log").open("a", encoding="utf-8") as log:
            log.write(f"{done.stdout}{done.stderr}")
        return done

    def command(self, *arguments: object, **variables: str) -> Any:
        """Run a command that must succeed and return what it prints with ``--json``."""
        done = self.run(*arguments, "--json", **variables)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start_backend(self, *, with_model: bool = True) -> None:
        """Start the backend and wait until it answers, by default until it has its model."""
        self._background.start("serve", "serve", "--port", str(self.port))
        login = self.basic if with_model else ""
        self._background.wait_for_backend("serve", self.url, login=login)

    def start_worker(self) -> None:
        """Start the worker and wait until it has given a sign of life."""
        self._background.start("worker", "worker")
        wait_for(lambda: self.ask("/api/v1/status")["worker"]["alive"], "a living worker")

    def stop(self, name: str) -> int:
        """End a background command as a service manager does; return its exit code."""
        return self._background.stop(name, timeout_s=30)

    def close(self) -> None:
        """End everything that was started."""
        self._background.close()

    # ------------------------------------------------------------------ what is there

    @property
    def basic(self) -> str:
        """The backend's credentials as a header."""
        settings = self.settings
        pair = f"{settings.backend_user}:{settings.backend_password.get_secret_value()}"
        return f"Basic {b64encode(pair.encode()).decode()}"

    def send(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        """Send a request to the backend; return the status and the body of the answer."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=body,
            headers={"Authorization": self.basic, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode("utf-8")
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode("utf-8")

    def ask(self, path: str) -> Any:
        """Return the JSON of an endpoint of the backend."""
        return json.loads(self.send(path)[1])

    def client(self) -> StudioClient:
        """Open a client of Label Studio."""
        return StudioClient(self.studio.url, self.studio.token)

    def tasks(self) -> list[dict[str, Any]]:
        """Return Label Studio's tasks by id, each with the predictions that it shows.

        Before it had a model the demo pushed an order; those predictions are left out.
        """
        with self.client() as client:
            shown = client.project(self.number).model_version
            found = list(client.tasks(self.number))
        for task in found:
            task["predictions"] = [p for p in task["predictions"] if p["model_version"] == shown]
        return found

    def delete_annotation(self, annotation: int) -> None:
        """Delete an annotation in Label Studio, as its user would."""
        request = urllib.request.Request(
            f"{self.studio.url}/api/annotations/{annotation}/",
            headers={"Authorization": f"Token {self.studio.token}"},
            method="DELETE",
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 204

    def database(self) -> Database:
        """Open our database."""
        return Database(self.settings.database)

    def stored(self, annotation: int) -> Stored | None:
        """Return the current revision of an annotation, None before it has arrived."""
        database = self.database()
        try:
            with database.read() as session:
                project = get_project(session, self.settings.project)
                row = current_revision(
                    session, project.id, source="studio", external_id=str(annotation)
                )
                return row and Stored(
                    state=row.state,
                    raw=row.raw,
                    diff=row.diff,
                    parent_prediction=row.parent_prediction,
                    parent_version=row.parent_version,
                )
        finally:
            database.close()

    def submitted_here(self) -> dict[str, tuple[str, Any]]:
        """Return our submitted annotations by task: their id and their regions."""
        database = self.database()
        try:
            with database.read() as session:
                project = get_project(session, self.settings.project)
                found = studio_annotations(session, project.id)
        finally:
            database.close()
        return {task: (one["id"], one["raw"]) for task, one in found.items()}

    def submitted_there(self) -> dict[str, tuple[str, Any]]:
        """Return the same of Label Studio."""
        with self.client() as client:
            return {
                str(task["id"]): (str(annotation["id"]), annotation["result"])
                for task in client.tasks(self.number)
                for annotation in task["annotations"]
                if not annotation["was_cancelled"]
            }
