"""The dashboard in a real browser, against a real server on a free loopback port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from backend_world import PASSWORD, World, open_world
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from sqlalchemy import update
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from annotator.domain import Document, Entity
from annotator.services.intake.documents import ingest_documents
from annotator.store.lead_times import keep_costs
from annotator.store.leases import take_lease
from annotator.store.projects import StudioLink, link_studio
from annotator.store.pushes import record_pushes
from annotator.store.runs import cancel_run, claim_run, finish_run, heartbeat, submit_run
from annotator.store.selections import Choice, log_selection
from annotator.store.tasks import add_task
from annotator.store.versions import active_version, add_evaluation
from db.tables import AnnotationRow
from ml_backend.server import BackendServer

pytestmark = pytest.mark.slow

COSTS = {
    "n_timed": 412, "n_people": 3, "median_s": 41.2, "error_s": 12.4, "constant_error_s": 18.7,
    "parts": {"task_s": 2.14, "word_s": 0.352, "entity_s": 1.1, "relation_s": 0.0, "edit_s": 4.2},
}  # fmt: skip
SECRET_TEXT = "Zebrastripes after aspirin."


def fill(world: World) -> None:
    """Give a project documents, tasks in a queue, runs of every kind, and a worker."""
    texts = {"gold": "Fever was treated.", "pool": SECRET_TEXT, "holdout": "Held out."}
    for role, text in texts.items():
        documents = [
            Document(
                id=f"{role}-{i}",
                text=f"{text} {i}.",
                entities=(Entity(id="e1", type="Drug", start=0, end=4),),
            )
            for i in range(4)
        ]
        ingest_documents(
            world.database,
            world.project_id,
            documents,
            role=role,  # type: ignore[arg-type] # the three roles
            holdout_share=0,
            seed=1,
        )
    with world.database.write() as session:
        link = StudioLink(host="http://studio.test:8080", key="1.17", project_id=5)
        link_studio(session, world.project_id, link)
        keep_costs(session, world.project_id, COSTS)
        session.execute(
            update(AnnotationRow).values(diff={"entities_kept": 11, "entities_removed": 1})
        )
        version = active_version(session, world.project_id)
        assert version is not None
        tasks = [
            add_task(session, world.project_id, studio_id=900 + i, document_id=5 + i,
                     sentence_id=None)
            for i in range(3)
        ]  # fmt: skip
        record_pushes(
            session,
            world.project_id,
            version_id=version.id,
            scores={task: 0.1 + i / 10 for i, task in enumerate(tasks)},
        )
        log_selection(
            session,
            world.project_id,
            version_id=version.id,
            strategy="mnlp",
            seed=1,
            n_pool=3,
            choices=[
                Choice(task_id=task, rank=i, reason=reason)
                for i, (task, reason) in enumerate(
                    zip(tasks, ("strategy", "random", "holdout"), strict=True)
                )
            ],
        )
        take_lease(session, "worker:here:42", owner="here:42", lease_s=600)
        add_runs(session, world.project_id)


def add_runs(session: Any, project_id: int) -> None:
    """One run that was held, one that failed, one under way, one that waits."""
    for state, reasons, error in (
        ("held", ["F1 fell by 4.2 points for type Effect"], None),
        ("failed", [], "its process was killed by SIGKILL (out of memory?)"),
    ):
        run, _ = submit_run(session, project_id, trigger="count")
        claim_run(session, run.id, owner="w", lease_s=60)
        finish_run(session, run.id, owner="w", state=state, reasons=reasons, error=error)
    run, _ = submit_run(session, project_id, trigger="cli")
    claim_run(session, run.id, owner="w", lease_s=600)
    progress = {
        "phase": "train", "epoch": 3, "n_epochs": 12, "step": 70, "n_steps": 280,
        "loss": 0.4312, "words_per_s": 1834, "remaining_s": 95,
    }  # fmt: skip
    heartbeat(session, run.id, owner="w", lease_s=600, progress=progress)
    waiting, _ = submit_run(session, project_id, trigger="studio")
    cancel_run(session, waiting.id)


@contextmanager
def serve(world: World, *, below: str = "", **settings: Any) -> Iterator[BackendServer]:
    """Serve, where ``below`` says so under a path, as a proxy would."""
    app = world.client(**settings).application
    if below:
        app.wsgi_app = DispatcherMiddleware(NotFound(), {below: app.wsgi_app})
    server = BackendServer(app, world.settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(20)


class Watched:
    """A page together with all that went wrong in it."""

    def __init__(
        self, browser: Browser, server: BackendServer, *, below: str = "", **options: Any
    ) -> None:
        credentials = {"username": "annotator", "password": PASSWORD}
        self.context = browser.new_context(http_credentials=credentials, **options)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.foreign: list[str] = []
        home = f"http://127.0.0.1:{server.port}{below}/"
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on(
            "request",
            lambda r: None if r.url.startswith(home) else self.foreign.append(r.url),
        )
        self.page.goto(home)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as world:
        fill(world)
        yield world


@pytest.fixture
def watched(browser: Browser, filled: World) -> Iterator[Watched]:
    with serve(filled) as server:
        opened = Watched(browser, server)
        yield opened
        opened.context.close()


def test_the_page_shows_labels_model_queue_runs_and_worker(watched: Watched) -> None:
    page = watched.page

    expect(page.get_by_role("heading", level=1)).to_have_text("default")
    expect(page.get_by_role("region", name="Labels").locator("dd").first).to_have_text("12")
    expect(page.get_by_role("region", name="Labels")).to_contain_text(
        "A task takes about 41 s (2.1 s + 0.35 s a word + 1.1 s an entity + 4.2 s a change), "
        "off by 12 s at the median (19 s if all took the same), "
        "from 412 timed annotations of 3 people."
    )
    expect(page.get_by_role("region", name="Labels")).to_contain_text(
        "People keep 92 % of the predicted entities as they are."
    )
    model = page.get_by_role("region", name="Model in use")
    expect(model).to_contain_text("84.7")
    expect(model.get_by_role("row", name="causes")).to_contain_text("64.6")
    queue = page.get_by_role("region", name="Shown next")
    expect(queue.get_by_role("row")).to_have_count(4)
    expect(queue.get_by_role("link", name="900")).to_have_attribute(
        "href", "http://studio.test:8080/projects/5/data?task=900"
    )
    runs = page.get_by_role("region", name="Training runs")
    expect(runs).to_contain_text("Step 70 of 280, epoch 3 of 12")
    expect(runs).to_contain_text("F1 fell by 4.2 points for type Effect")
    expect(runs).to_contain_text("out of memory?")
    expect(runs.get_by_role("progressbar")).to_have_attribute("value", "70")
    expect(page.locator("#signs")).to_contain_text("Worker: running")
    assert (watched.problems, watched.foreign) == ([], [])


def test_the_page_tells_the_curve_and_whether_labels_and_queue_pay(
    browser: Browser, filled: World
) -> None:
    with filled.database.write() as session:
        version = active_version(session, filled.project_id)
        assert version is not None
        note_measurements(session, version.id, version.metrics["holdout"])

    with serve(filled) as server:
        watched = Watched(browser, server)
        region = watched.page.get_by_role("region", name="Learning")

        expect(region.get_by_role("row", name=version.name)).to_contain_text("6,405")
        expect(region.get_by_role("row", name=version.name)).to_contain_text("67.1")
        expect(region.get_by_role("row", name=version.name)).to_contain_text("9,605 (8,005")
        expect(region).to_contain_text("go on")
        expect(region).to_contain_text("kappa 0.912, 0.97 needed")
        expect(region).to_contain_text("it does not pay; random order is as good")
        assert (watched.problems, watched.foreign) == ([], [])
        watched.context.close()


def note_measurements(session: Any, version_id: int, holdout: Any) -> None:
    """Store what a worker measures when a version goes into use."""
    joint = {"f1": 70.9, "low": 67.1, "high": 74.3, "error": 1.8}
    learnt_from = {"sentences": 300, "words": 6_405, "entities": 400, "relations": 200}
    worth = {
        "state": "no_gain",
        "reason": "the strategy's tasks hold fewer",
        **{"ratio": 2.0, "low": 1.5, "high": 3.0},
        "tasks": {"strategy": {"words": 3_200}, "random": {"words": 600}},
    }
    advice = {"state": "continue", "reasons": ["they differ: kappa 0.912, 0.97 needed"]}
    measured = {
        "holdout": {**holdout, "joint": joint, "learnt_from": learnt_from},
        "queue": {"worth": worth, "advice": advice, "forecast": None},
    }
    for split, metrics in measured.items():
        add_evaluation(session, version_id, split=split, metrics=metrics, n_sentences=100)


def test_the_page_works_under_a_path_of_a_proxy(browser: Browser, filled: World) -> None:
    with serve(filled, below="/annotator") as server:
        watched = Watched(browser, server, below="/annotator")

        expect(watched.page.get_by_role("heading", level=1)).to_have_text("default")
        expect(watched.page.locator("#signs")).to_contain_text("Worker: running")
        expect(watched.page.locator(".product")).to_have_css("margin", "0px")
        assert (watched.problems, watched.foreign) == ([], [])
        watched.context.close()


def test_links_lead_to_where_browsers_reach_label_studio(browser: Browser, filled: World) -> None:
    with serve(filled, studio_public_url="https://studio.example/label") as server:
        watched = Watched(browser, server)
        links = watched.page.get_by_role("link", name="900")
        traffic = watched.page.get_by_role("link", name="Project 5 on studio.example")

        expect(links).to_have_attribute(
            "href", "https://studio.example/label/projects/5/data?task=900"
        )
        expect(traffic).to_have_attribute("href", "https://studio.example/label/projects/5/data")
        watched.context.close()


def test_no_text_of_a_document_is_on_the_page(watched: Watched) -> None:
    expect(watched.page.get_by_role("region", name="Shown next")).to_contain_text("pool-0")

    assert "Zebrastripes" not in watched.page.content()


def test_a_missing_worker_is_told_with_the_command_that_starts_it(
    browser: Browser, tmp_path: Path
) -> None:
    with open_world(tmp_path, version=None) as world, serve(world) as server:
        watched = Watched(browser, server)
        notices = watched.page.get_by_role("status")

        expect(notices).to_contain_text("The worker is not running")
        expect(notices.get_by_text("annotator worker")).to_be_visible()
        expect(notices.get_by_text("annotator connect")).to_be_visible()
        expect(watched.page.get_by_role("region", name="Model in use")).to_contain_text(
            "annotator retrain"
        )
        assert watched.problems == []
        watched.context.close()


def test_a_backend_that_goes_away_is_told_and_what_was_shown_stays(
    browser: Browser, filled: World
) -> None:
    with serve(filled) as server:
        watched = Watched(browser, server)
        expect(watched.page.locator("#signs")).to_contain_text("Model: ready")

    expect(watched.page.get_by_role("status")).to_contain_text(
        "The backend does not answer", timeout=15_000
    )
    expect(watched.page.get_by_role("region", name="Model in use")).to_contain_text("84.7")
    watched.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_nothing_sticks_out_at_any_width(
    browser: Browser, filled: World, width: int, scheme: str
) -> None:
    with serve(filled) as server:
        size = {"width": width, "height": 900}
        watched = Watched(browser, server, viewport=size, color_scheme=scheme)
        expect(watched.page.locator("#signs")).to_contain_text("Model: ready")

        overflow = watched.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow == 0
        assert watched.problems == []
        watched.context.close()


def test_the_keyboard_reaches_the_content_and_the_links(watched: Watched) -> None:
    page = watched.page
    expect(page.get_by_role("link", name="900")).to_be_visible()

    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    second = page.evaluate("document.activeElement.textContent")

    assert (first, second) == ("Skip to the content", "900")
