from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import LINK, TINY_HEADS
from fake_studio import FakeStudio
from run_world import ingest

from annotator.services.inference import compute
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.pull import PullReport, reconcile
from annotator.services.sync.webhooks import InboxReport, process_inbox, receive_event
from annotator.store.database import Database
from annotator.store.projects import Project, get_project, link_studio

Pull = Callable[..., PullReport]
Deliver = Callable[[], InboxReport]
SPLIT = SplitRule(holdout_share=0.0, seed=1)


@pytest.fixture
def studio() -> FakeStudio:
    """A Label Studio with one empty project."""
    return FakeStudio()


@pytest.fixture
def linked(database: Database, project: Project) -> Project:
    """The project, connected to ``studio``."""
    with database.write() as session:
        link_studio(session, project.id, LINK)
        return get_project(session, project.name)


@pytest.fixture
def pull(database: Database, linked: Project, studio: FakeStudio) -> Pull:
    """Pulls from ``studio`` as a worker does: with the project as it is now."""

    def run(**options: object) -> PullReport:
        with database.read() as session:
            now = get_project(session, linked.name)
        return reconcile(database, now, studio, split=SPLIT, **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def deliver(database: Database, linked: Project, studio: FakeStudio) -> Deliver:
    """Hands over the events that ``studio`` has sent since, and works them off."""

    def run() -> InboxReport:
        for event in studio.events:
            with database.write() as session:
                receive_event(session, event)
        studio.events.clear()
        return process_inbox(database, linked, split=SPLIT)

    return run


@pytest.fixture
def gold(database: Database, project: Project) -> Project:
    """The project with 24 sentences to learn from and 8 of the hold-out."""
    ingest(database, project, 0, 24)
    ingest(database, project, 24, 32, "holdout")
    return project


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Makes models small; collects where something was trained."""
    folders: list[Path] = []

    from annotator.training import train as train_for_real

    def train(*arguments: Any, **options: Any) -> Any:
        folders.append(options["folder"])
        return train_for_real(*arguments, **options, options=TINY_HEADS)

    monkeypatch.setattr(compute.training, "train", train)
    return folders
