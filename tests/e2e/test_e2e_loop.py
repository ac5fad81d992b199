"""The loop as an annotator meets it: a browser, Label Studio, and what arrives in the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator_page import AnnotatorPage, Submitted
from loop_world import Loop, wait_for
from playwright.sync_api import Browser, expect

from annotator.store.gold import gold_units
from annotator.store.projects import get_project

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the editor showed of a task before anything was changed."""

    task: dict[str, Any]
    highlights: dict[str, str]
    arrows: list[str]

    @property
    def prediction(self) -> dict[str, Any]:
        """The stored prediction behind it."""
        found: dict[str, Any] = self.task["predictions"][0]
        return found

    @property
    def mentions(self) -> dict[str, str]:
        """The predicted mentions by region id."""
        regions = [r for r in self.prediction["result"] if r["type"] == "labels"]
        return {r["id"]: r["value"]["text"] for r in regions}

    @property
    def relations(self) -> list[str]:
        """The predicted relation labels."""
        links = [r for r in self.prediction["result"] if r["type"] == "relation"]
        return sorted(label for link in links for label in link["labels"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A task whose first region was deleted before it was submitted."""

    shown: Shown
    deleted: str
    sent: Submitted


@pytest.fixture(scope="module")
def page(browser: Browser, loop: Loop) -> Iterator[AnnotatorPage]:
    """One annotator at work."""
    opened = AnnotatorPage(browser, loop)
    yield opened
    opened.page.close()


@pytest.fixture(scope="module")
def tasks(loop: Loop) -> list[dict[str, Any]]:
    """All tasks as Label Studio has them before anybody labels, lowest score first."""
    return sorted(loop.tasks(), key=lambda task: task["predictions"][0]["score"])


@pytest.fixture(scope="module")
def streamed(page: AnnotatorPage, tasks: list[dict[str, Any]], artifacts: Path) -> Shown:
    """The task that the label stream serves first."""
    served = page.label_all()
    page.photograph(artifacts / "label-stream.png")
    task = next(task for task in tasks if task["id"] == served)
    return Shown(task=task, highlights=page.highlights(), arrows=page.arrows())


@pytest.fixture(scope="module")
def skipped(page: AnnotatorPage, streamed: Shown) -> Submitted:
    """The same task, skipped."""
    return page.skip()


@pytest.fixture(scope="module")
def edited(
    page: AnnotatorPage, tasks: list[dict[str, Any]], skipped: Submitted, artifacts: Path
) -> Edited:
    """The least certain task with a relation, after one region was deleted and it was submitted."""
    task = next(
        task
        for task in tasks
        if task["id"] != skipped.task
        and any(r["type"] == "relation" for r in task["predictions"][0]["result"])
    )
    page.open_task(task["id"])
    page.photograph(artifacts / "task.png")
    shown = Shown(task=task, highlights=page.highlights(), arrows=page.arrows())
    deleted = next(iter(shown.highlights))
    page.delete_region(deleted)
    page.photograph(artifacts / "task-edited.png")
    return Edited(shown=shown, deleted=deleted, sent=page.submit())


def test_the_label_stream_begins_with_the_task_that_comes_first_in_our_order(
    streamed: Shown, tasks: list[dict[str, Any]]
) -> None:
    assert streamed.task["id"] == tasks[0]["id"]


def test_the_served_task_has_its_predicted_entities_and_relations_drawn(streamed: Shown) -> None:
    assert streamed.highlights == streamed.mentions
    assert sorted(streamed.arrows) == streamed.relations


def test_an_opened_task_has_its_predicted_entities_and_relations_drawn(edited: Edited) -> None:
    assert edited.shown.highlights == edited.shown.mentions
    assert sorted(edited.shown.arrows) == edited.shown.relations
    assert edited.shown.relations != []


def test_what_was_submitted_is_in_our_database_region_by_region(loop: Loop, edited: Edited) -> None:
    stored = wait_for(lambda: loop.stored(edited.sent.annotation), "the submitted annotation")

    with loop.client() as client:
        task = client.task(edited.sent.task)
    assert task is not None
    assert stored.state == "submitted"
    assert stored.raw == task["annotations"][0]["result"]
    assert regions_of(stored.raw) == regions_of(edited.sent.result)
    assert set(regions_of(stored.raw)) == set(edited.shown.mentions) - {edited.deleted}


def regions_of(result: list[dict[str, Any]]) -> dict[str, tuple[int, int, tuple[str, ...]]]:
    """Return offsets and labels by region id."""
    return {
        r["id"]: (r["value"]["start"], r["value"]["end"], tuple(r["value"]["labels"]))
        for r in result
        if r["type"] == "labels"
    }


def test_what_was_changed_and_of_which_prediction_is_stored(loop: Loop, edited: Edited) -> None:
    stored = wait_for(lambda: loop.stored(edited.sent.annotation), "the submitted annotation")

    assert stored.parent_prediction == edited.shown.prediction["id"]
    assert stored.parent_version == loop.ask("/health")["model_version"]
    assert stored.diff is not None
    assert stored.diff["entities_removed"] == 1
    assert stored.diff["entities_kept"] == len(edited.shown.mentions) - 1
    assert stored.diff["entities_added"] == stored.diff["entities_relabelled"] == 0
    kept = stored.diff["relations_kept"]
    assert kept + stored.diff["relations_removed"] == len(edited.shown.relations)


def test_a_skipped_task_is_stored_as_skipped_and_is_no_gold(loop: Loop, skipped: Submitted) -> None:
    stored = wait_for(lambda: loop.stored(skipped.annotation), "the skipped annotation")

    assert stored.state == "skipped"
    assert str(skipped.task) not in loop.submitted_here()
    assert loop.command("status")["tasks"]["skipped"] == 1


def test_gold_grows_by_what_was_submitted_alone(loop: Loop, edited: Edited) -> None:
    wait_for(lambda: loop.stored(edited.sent.annotation), "the submitted annotation")
    database = loop.database()

    with database.read() as session:
        project = get_project(session, loop.settings.project)
        labelled = [u for u in gold_units(session, project.id) if u.source == "studio"]
    database.close()

    data = edited.shown.task["data"]
    assert [(u.source_document, u.region[0], u.document.text) for u in labelled] == [
        (data["doc_id"], data["sent_start"], data["text"])
    ]


def test_the_editor_never_crashed(
    page: AnnotatorPage, streamed: Shown, skipped: Submitted, edited: Edited
) -> None:
    assert page.crashes == []


def test_the_dashboard_shows_the_active_version_and_its_scores(
    browser: Browser, loop: Loop, artifacts: Path
) -> None:
    settings = loop.settings
    context = browser.new_context(
        http_credentials={
            "username": settings.backend_user,
            "password": settings.backend_password.get_secret_value(),
        }
    )
    page = context.new_page()
    crashes: list[str] = []
    page.on("pageerror", lambda error: crashes.append(str(error)))
    active = loop.ask("/api/v1/status")["active_version"]
    f1 = active["metrics"]["holdout"]["ner"]["micro"]["f1"]

    page.goto(f"{loop.url}/")

    model = page.get_by_role("region", name="Model in use")
    expect(model).to_contain_text(active["name"])
    expect(model).to_contain_text(f"{f1:.1f}")
    expect(page.locator("#signs")).to_contain_text("Worker: running")
    page.screenshot(path=artifacts / "dashboard.png", full_page=True)
    assert crashes == []
    context.close()
