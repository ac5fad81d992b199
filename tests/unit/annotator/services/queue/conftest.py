from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import make_document
from fake_studio import FakeStudio
from publish_world import QUEUE, TEXTS
from run_world import register

from annotator.model import Predictor
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue.publish import (
    PublishReport,
    publish_version,
)
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.versions import ModelVersion


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


@pytest.fixture
def pool(database: Database, linked: Project) -> Project:
    """Two documents of two sentences each, to be labelled."""
    documents = [make_document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    ingest_documents(database, linked.id, documents, role="pool", holdout_share=0.0, seed=1)
    return linked


@pytest.fixture
def version(database: Database, linked: Project, tiny_model: Path) -> ModelVersion:
    return register(database, linked, tiny_model, name="ward-1")


@pytest.fixture
def push(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    version: ModelVersion,
    predictor: Predictor,
) -> Any:
    """Publishes the version."""

    def run() -> PublishReport:
        return publish_version(database, pool, studio, version, lambda: predictor, queue=QUEUE)

    return run
