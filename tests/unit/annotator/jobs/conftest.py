from __future__ import annotations

from contextlib import nullcontext

import pytest
from factories import LINK
from fake_studio import FakeStudio
from housekeeper_world import SpyQueue

from annotator.jobs.housekeeper import Housekeeper
from annotator.live_settings import LiveSettings
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project, link_studio


@pytest.fixture
def queue() -> SpyQueue:
    return SpyQueue()


@pytest.fixture
def studio() -> FakeStudio:
    return FakeStudio()


@pytest.fixture
def housekeeper(
    settings: Settings,
    database: Database,
    project: Project,
    queue: SpyQueue,
    studio: FakeStudio,
    monkeypatch: pytest.MonkeyPatch,
) -> Housekeeper:
    """The housekeeper of a project that trains after three labels, with ``studio`` for a client."""
    quick = settings.model_copy(update={"retrain_after": 3, "debounce_s": 0.0})
    made = Housekeeper(LiveSettings(quick), database, queue, "host:1")  # type: ignore[arg-type]
    monkeypatch.setattr(made, "client", lambda _project: nullcontext(studio))
    return made


@pytest.fixture
def linked(database: Database, project: Project) -> Project:
    with database.write() as session:
        link_studio(session, project.id, LINK)
    return project
