"""The demo, step by step. Each step checks what exists and does what is missing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from annotator.demo.notes import DemoCorpus, read_notes
from annotator.demo.stage import Stage
from annotator.errors import JobError, StudioError
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync.connect import connect_project, ensure_studio_project
from annotator.settings import Settings, init_home, load_settings, write_secrets
from annotator.store.database import Database
from annotator.store.projects import Project, ensure_project, get_project
from annotator.store.pushes import has_unpushed
from annotator.store.runs import get_run, list_runs, submit_run
from annotator.store.tasks import count_tasks
from annotator.store.versions import ModelVersion, active_version
from annotator.studio.client import StudioClient
from annotator.studio.server import RunningStudio

__all__ = ["N_LABELS", "Demo"]

N_LABELS = 20
_SETTINGS = {
    "retrain_after": N_LABELS,
    "debounce_s": 3.0,
    "sync_interval_s": 20.0,
    "batch": N_LABELS,
    "holdout_share": 0.0,
}
_PUBLISH_S = 900.0

Say = Callable[[str], None]
Watch = Callable[[Database, int], None]


@dataclass
class Demo:
    """The demo in ``home``. ``watch`` shows a run until it has ended.

    Call the steps in order; each may be called again.
    """

    home: Path
    encoder: str
    stage: Stage
    say: Say
    watch: Watch

    def make_project(self) -> None:
        """Create the project and import the notes in their roles."""
        self.stage.clear()
        is_new = init_home(
            self.home, project="demo", unit="sentence", encoder=self.encoder, **_SETTINGS
        )
        self.settings: Settings = load_settings(self.home)
        self.database = Database(self.settings.database)
        self.database.upgrade()
        with self.database.write() as session:
            project = ensure_project(session, name="demo", unit="sentence")
        self.corpus: DemoCorpus = read_notes()
        for role in ("gold", "holdout", "pool"):
            report = ingest_documents(
                self.database,
                project.id,
                getattr(self.corpus, role),
                role=role,
                holdout_share=0.0,
                seed=self.settings.seed,
                actor="demo",
            )
            if report.n_documents:
                self.say(f"  {report.n_documents} notes ({report.n_sentences} sentences) as {role}")
        if not is_new:
            self.say(f"  going on with the project in {self.home}")

    def project(self) -> Project:
        """Read the project's row."""
        with self.database.read() as session:
            return get_project(session, self.settings.project)

    def start_studio(self) -> RunningStudio:
        """Install and start Label Studio, and create its project."""
        if not self.stage.studio.is_installed():
            self.say("  installing Label Studio into its own environment (about a minute)")
        self.running = self.stage.start_studio(lambda _line: None)
        self.client = StudioClient(self.running.url, self.running.token)
        project = self.project()
        number = self.settings.studio_project
        if number is None or not self._is_there(number):
            made = ensure_studio_project(
                self.database, project, self.client, title="Clinical notes (demo)"
            )
            number = made.id
        write_secrets(
            self.home,
            {
                "studio_url": self.running.url,
                "studio_token": self.running.token,
                "studio_project": number,
            },
        )
        self.settings = load_settings(self.home)
        self.studio_project = number
        return self.running

    def _is_there(self, number: int) -> bool:
        try:
            self.client.project(number)
        except StudioError:
            return False
        return True

    def start_backend(self) -> None:
        """Start the backend and the worker, and connect Label Studio to them."""
        port = self.stage.choose_port()
        environment = {**os.environ, "ANNOTATOR_HOME": str(self.home)}
        self.stage.start("backend", ["serve", "--port", str(port)], environment)
        url = f"http://127.0.0.1:{port}"
        self.stage.wait_for_backend(url)
        write_secrets(self.home, {"backend_url": url})
        self.settings = load_settings(self.home)
        self.connection = connect_project(
            self.database,
            self.project(),
            self.client,
            studio_project=self.studio_project,
            backend_url=url,
            user=self.settings.backend_user,
            password=self.settings.backend_password.get_secret_value(),
        )
        self.stage.start("worker", ["worker"], environment)

    def first_model(self) -> ModelVersion:
        """Train the first model, unless there is one; return the active version."""
        with self.database.read() as session:
            active = active_version(session, self.project().id)
        if active is not None:
            self.say(f"  {active.name} is there already")
            return active
        with self.database.write() as session:
            running = list_runs(session, self.project().id, states=("running",))
            run = (
                running[0] if running else submit_run(session, self.project().id, trigger="demo")[0]
            )
        return self.follow(run.id)

    def follow(self, run_id: int) -> ModelVersion:
        """Show a run until it ends, and return the version that is active then.

        Raises:
            JobError: if the run failed, with its reason.
        """
        self.watch(self.database, run_id)
        with self.database.read() as session:
            run = get_run(session, run_id)
            active = active_version(session, self.project().id)
        if run.state not in {"succeeded", "held"} or active is None:
            raise JobError(
                f"run {run_id} {run.state}: {run.error or 'no reason given'}; see "
                f"{self.stage.logs / 'worker.log'}, then run annotator demo again"
            )
        return active

    def wait_until_published(self, version: ModelVersion) -> None:
        """Wait until Label Studio has the version's predictions and shows them.

        Raises:
            StudioError: if that does not happen in time.
        """
        deadline = time.monotonic() + _PUBLISH_S
        while time.monotonic() < deadline:
            self.stage.check("worker", "backend")
            with self.database.read() as session:
                project = get_project(session, self.settings.project)
                missing = has_unpushed(session, project.id, version_id=version.id)
                n_tasks = sum(count_tasks(session, project.id).values())
            remote = self.client.project(self.studio_project)
            if n_tasks and not missing and remote.model_version == version.name:
                return
            time.sleep(0.5)
        raise StudioError(
            f"the predictions of {version.name} did not reach Label Studio in time; see "
            f"{self.stage.logs / 'worker.log'}, then run annotator demo again"
        )

    def wait_for_run(self, after: int, *, timeout_s: float = 120.0) -> int:
        """Wait until a run later than ``after`` exists, and return its id.

        Raises:
            JobError: if none was triggered in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.stage.check("worker", "backend")
            with self.database.read() as session:
                runs = list_runs(session, self.project().id, limit=1)
            if runs and runs[0].id > after:
                return runs[0].id
            time.sleep(0.3)
        raise JobError("the new labels triggered no training run; see annotator status")

    def close(self) -> None:
        """Stop everything that was started. May be called twice."""
        self.stage.close()
        if hasattr(self, "client"):
            self.client.close()
        if hasattr(self, "database"):
            self.database.close()
