"""A project for measuring: a temporary folder, a small trained model, real processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from annotator.bench.load import Caller
from annotator.domain import Document, LabelSchema
from annotator.errors import InputError, JobError
from annotator.jobs.background import BackgroundCommands
from annotator.services.intake.documents import ingest_documents
from annotator.settings import Settings, init_home, load_settings
from annotator.store.database import Database
from annotator.store.projects import (
    Project,
    StudioLink,
    ensure_project,
    get_project,
    link_studio,
    save_schema,
    set_pulled,
)
from annotator.store.runs import FINISHED, Run, cancel_run, get_run
from annotator.studio.config import LabelConfig, build_config, parse_config
from annotator.studio.processes import free_port

__all__ = ["ServedProject", "open_served"]

_WAIT_S: Final = 600.0
# The first model need not be good. Nothing may start by itself during a measurement.
_SETTINGS: Final = {
    "retrain_after": 1_000_000,
    "retrain_share": 1_000.0,
    "sync_interval_s": 1_000_000.0,
    "holdout_share": 0.0,
    "epochs": 1_000,  # never finished: the run is cancelled
}
_SHORT: Final = {"ANNOTATOR_EPOCHS": "1", "ANNOTATOR_MIN_STEPS": "20"}
# Nothing listens there: the bench calls this project, which calls nobody.
_NOBODY: Final = StudioLink(host="http://127.0.0.1:9", key="1.1767225600", project_id=1)


class ServedProject:
    """A project in ``home`` whose backend and worker run as a user runs them.

    Made by ``open_served``.
    """

    def __init__(
        self, settings: Settings, database: Database, commands: BackgroundCommands
    ) -> None:
        self.settings = settings
        self.database = database
        self.commands = commands

    @property
    def project(self) -> Project:
        """The project's row."""
        with self.database.read() as session:
            return get_project(session, self.settings.project)

    def label_config(self, schema: LabelSchema) -> LabelConfig:
        """Make a labeling configuration and store it as if it came from Label Studio."""
        xml = build_config(schema, unit="sentence")
        project = self.project
        with self.database.write() as session:
            link_studio(session, project.id, _NOBODY)
            save_schema(session, project.id, schema, config_xml=xml)
            set_pulled(session, project.id, started=datetime.now(UTC), until=None)
        return parse_config(xml)

    def train_first(self) -> None:
        """Train a model in a minute or less and make it the active one."""
        self.commands.run("training", "retrain", "--wait", environment=_SHORT)

    def train_again(self) -> None:
        """Train another version on the same labels and make it the active one."""
        self.commands.run(
            "training-again", "retrain", "--wait", "--again", "--force", environment=_SHORT
        )

    def serve(self) -> Caller:
        """Start the backend; return when it has loaded its model."""
        port = free_port("127.0.0.1")
        self.commands.start("backend", "serve", "--port", str(port))
        url = f"http://127.0.0.1:{port}"
        self.commands.wait_for_backend("backend", url, login=self.settings.basic_auth)
        return Caller(
            host="127.0.0.1",
            port=port,
            user=self.settings.backend_user,
            password=self.settings.backend_password.get_secret_value(),
        )

    @contextmanager
    def training(self, caller: Caller) -> Iterator[None]:
        """Press *Start Training*: the run is under way inside the block and cancelled after it.

        Raises:
            JobError: if it does not start, or ends before the block does: what was measured then
                was not measured during a training run.
        """
        event = {"action": "START_TRAINING", "project": {"id": _NOBODY.project_id}}
        status, answer = caller.call("POST", "/webhook", json.dumps(event).encode())
        if status != 201:
            raise JobError(f"the backend answered START_TRAINING with {status}")
        run_id = int(json.loads(answer)["job"])
        self._wait(run_id, lambda run: run.state == "running" and bool(run.progress))
        yield
        with self.database.read() as session:
            state = get_run(session, run_id).state
        if state != "running":
            raise JobError(f"the training run ended ({state}) while the bench measured")
        with self.database.write() as session:
            cancel_run(session, run_id)
        self._wait(run_id, lambda run: run.state == "cancelled")

    def _wait(self, run_id: int, is_there: Callable[[Run], bool]) -> Run:
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            self.commands.check()
            with self.database.read() as session:
                run = get_run(session, run_id)
            if is_there(run):
                return run
            if run.state in FINISHED:
                break
            time.sleep(0.2)
        raise JobError(f"the training run is {run.state}; see the logs in {self.commands.logs}")


@contextmanager
def open_served(
    home: Path, documents: Sequence[Document], *, encoder: str
) -> Iterator[ServedProject]:
    """Make a project of labelled documents in ``home``; stop what was started on leaving.

    Raises:
        InputError: if ``home`` already holds a project: the bench must not touch its labels.
    """
    if not init_home(home, project="bench", unit="sentence", encoder=encoder, **_SETTINGS):
        raise InputError(f"{home} is a project already; give the bench a new folder")
    settings = load_settings(home)
    database = Database(settings.database)
    commands = BackgroundCommands(home / "logs", {"ANNOTATOR_HOME": str(home)})
    try:
        database.upgrade()
        with database.write() as session:
            project = ensure_project(session, name="bench", unit="sentence")
        ingest_documents(
            database,
            project.id,
            documents,
            role="gold",
            holdout_share=0.0,
            seed=settings.seed,
            actor="bench",
        )
        yield ServedProject(settings, database, commands)
    finally:
        commands.close()
        database.close()
