"""A project with a tiny trained model behind the backend, for the tests of the backend."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA, make_tiny_encoder

from annotator.errors import JobError
from annotator.model import checkpoint_sha256
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import ensure_project, save_schema
from annotator.store.runs import submit_run
from annotator.store.snapshots import take_snapshot
from annotator.store.versions import ModelVersion, activate_version, add_evaluation, add_version
from annotator.training import TrainingSettings, train
from ml_backend.app import create_app
from ml_backend.models import ModelHost

PASSWORD = "correct horse"
TOKEN = "staple"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"annotator:{PASSWORD}".encode()).decode()}
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CONFIG_XML = """<View>
  <Relations><Relation value="causes"/><Relation value="treats"/></Relations>
  <Labels name="label" toName="text"><Label value="Drug"/><Label value="Effect"/></Labels>
  <Text name="text" value="$text"/>
</View>"""
METRICS = {
    "ner": {
        "micro": {"p": 90.0, "r": 80.0, "f1": 84.7},
        "types": {"Drug": {"p": 91.0, "r": 81.0, "f1": 85.7, "n": 31}},
    },
    "re": {
        "micro": {"p": 70.0, "r": 60.0, "f1": 64.6},
        "types": {"causes": {"p": 70.0, "r": 60.0, "f1": 64.6, "n": 12}},
    },
    "n_sentences": 40,
}


@cache
def tiny_checkpoint() -> Path:
    """Train a tiny model on eight sentences, once a test process."""
    folder = Path(tempfile.mkdtemp(prefix="annotator-backend-"))
    train(
        EIGHT_SENTENCES,
        schema=TINY_SCHEMA,
        encoder=str(make_tiny_encoder(folder / "encoder")),
        settings=TrainingSettings(
            epochs=40, min_steps=0, batch_size=8, encoder_lr=1e-3, head_lr=3e-3, seed=1
        ),
        folder=folder / "model",
        options={"hidden": 48, "width": 32, "label_embedding": 8},
    )
    return folder / "model"


@dataclass
class SpyQueue:
    """Remembers what it was asked; fails where ``broken``."""

    submitted: list[int] = field(default_factory=list)
    tended: list[float] = field(default_factory=list)
    broken: bool = False

    def submit(self, run_id: int) -> None:
        """Remember a run."""
        self._check()
        self.submitted.append(run_id)

    def tend(self, delay_s: float = 0.0) -> None:
        """Remember a wake-up."""
        self._check()
        self.tended.append(delay_s)

    def _check(self) -> None:
        if self.broken:
            raise JobError("the queue cannot be reached")


@dataclass
class World:
    """A project and the parts that serve it."""

    settings: Settings
    database: Database
    project_id: int
    queue: SpyQueue
    models: ModelHost

    def client(self, **settings: Any) -> FlaskClient:
        """Return a client of an application with some settings changed."""
        app = create_app(
            self.settings.model_copy(update=settings),
            database=self.database,
            models=self.models,
            queue=self.queue,
        )
        return app.test_client()

    def register(
        self, name: str, *, folder: Path | None = None, sha256: str | None = None
    ) -> ModelVersion:
        """Store a version and make it the active one; see ``models.refresh``."""
        folder = folder or tiny_checkpoint()
        with self.database.write() as session:
            run, _ = submit_run(session, self.project_id, trigger="test")
            snapshot = take_snapshot(
                session, self.project_id, schema=TINY_SCHEMA, members={}, n_sentences=8
            )
            version = add_version(
                session,
                self.project_id,
                name=name,
                folder=str(folder),
                sha256=sha256 or checkpoint_sha256(folder),
                run_id=run.id,
                snapshot_id=snapshot.id,
            )
            add_evaluation(session, version.id, split="holdout", metrics=METRICS, n_sentences=40)
            activate_version(session, self.project_id, version.id, provisional=False)
        return version


@contextmanager
def open_world(home: Path, *, version: str | None = "tiny-1") -> Iterator[World]:
    """Make a project in ``home``, with an active model unless ``version`` is None."""
    settings = Settings(
        home=home, backend_password=PASSWORD, api_token=TOKEN, device="cpu", port=0, threads=4
    )
    database = Database(settings.database)
    database.upgrade()
    with database.write() as session:
        project = ensure_project(session, name=settings.project, unit="sentence")
        save_schema(session, project.id, TINY_SCHEMA, config_xml=CONFIG_XML)
    models = ModelHost(database, project.id, device="cpu", poll_s=3600)
    world = World(settings, database, project.id, SpyQueue(), models)
    try:
        if version is not None:
            world.register(version)
            models.refresh()
        yield world
    finally:
        models.close()
        database.close()


def make_predict(*texts: Any, **extra: Any) -> dict[str, Any]:
    """Build a ``/predict`` request as Label Studio sends it."""
    return {
        "tasks": [{"id": i + 1, "data": {"text": text}} for i, text in enumerate(texts)],
        "project": "1.1795333539",
        "label_config": CONFIG_XML,
        "params": {"login": None, "password": None, "context": None},
        **extra,
    }
