"""The backend's process is killed as soon as it has answered an event."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from backend_world import World
from command_line import LINK, SECRET_TEXT
from factories import STUDIO_PROJECT
from fake_studio import make_region
from served_backend import ask, serving, wait_for_health

from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.webhooks import InboxReport, process_inbox
from annotator.store.annotations import current_revision
from annotator.store.inbox import count_events
from annotator.store.projects import get_project

pytestmark = pytest.mark.slow

RESULT = [make_region("r1", 18, 25, "Drug", text=SECRET_TEXT)]
WHEN = "2026-01-01T00:00:00.000000Z"
EVENT = {
    "action": "ANNOTATION_CREATED",
    "project": {**STUDIO_PROJECT, "id": LINK.project_id},
    "task": {"id": 77, "data": {"text": SECRET_TEXT}, "updated_at": WHEN},
    "annotation": {
        "id": 9,
        "task": 77,
        "result": RESULT,
        "updated_at": WHEN,
        "was_cancelled": False,
        "completed_by": 1,
    },
}


def answer_and_die(home: Path) -> tuple[int, int]:
    """Serve a project, send the event, kill the process with the answer in hand."""
    with serving(home) as (process, port):
        wait_for_health(port, "status")
        status, _ = ask(port, "/webhook", EVENT)
        process.kill()
        return status, process.wait(timeout=20)


def test_an_event_that_was_answered_outlives_the_process_that_took_it(world: World) -> None:
    status, ended = answer_and_die(world.settings.home)

    assert (status, ended) == (201, -signal.SIGKILL)
    with serving(world.settings.home) as (_, port):
        assert wait_for_health(port, "status")["status"] == "UP"
        with world.database.read() as session:
            project = get_project(session, "default")
            assert count_events(session)["new"] == 1
        report = process_inbox(world.database, project, split=SplitRule(holdout_share=0, seed=1))
    with world.database.read() as session:
        kept = current_revision(session, project.id, source="studio", external_id="9")
        assert kept is not None
        assert (kept.state, kept.raw) == ("submitted", RESULT)
    assert report == InboxReport(n_done=1)


def test_an_event_sent_again_after_the_kill_is_worked_off_once(world: World) -> None:
    answer_and_die(world.settings.home)

    with serving(world.settings.home) as (_, port):
        wait_for_health(port, "status")
        status, _ = ask(port, "/webhook", EVENT)

    assert status in {200, 201}
    with world.database.read() as session:
        assert count_events(session)["new"] == 1
