"""A project without a label, before the first model: a real Label Studio, and what it serves."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator_page import AnnotatorPage
from loop_world import Loop
from playwright.sync_api import Browser

from annotator.domain import LabelSchema
from annotator.resources import sample_file
from annotator.studio.config import build_config
from annotator.studio.server import RunningStudio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

SCHEMA = LabelSchema(
    entity_types=("Drug", "Condition", "Adverse-Effect"), relation_types=("causes",)
)
TERMS = (
    "ramipril\tDrug\nwarfarin\tDrug\nparacetamol\tDrug\n"
    "type 2 diabetes\tCondition\nchest pain\tCondition\npain\tCondition\nrash\tAdverse-Effect\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """A project with tasks in Label Studio, and what ``annotator push`` said."""

    loop: Loop
    first: dict[str, Any]
    second: dict[str, Any]
    tasks: list[dict[str, Any]]

    def placed(self, version: str) -> list[int]:
        """Return the tasks that have a place under this name, the first one first."""
        scores = [
            (p["score"], task["id"])
            for task in self.tasks
            for p in task["predictions"]
            if p["model_version"] == version
        ]
        return [task for _, task in sorted(scores)]


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory, studio: RunningStudio) -> Iterator[Cold]:
    """Text, labels in Label Studio, no gold; pushed without a lexicon and then with one."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("cold")
    loop = Loop(home=folder / "ward", studio=studio, port=port)
    try:
        loop.command("init", "--home", loop.home, "--name", "cold", "--encoder", "minilm")
        with (loop.home / "annotator.toml").open("a", encoding="utf-8") as settings:
            settings.write("warmup = 10\n")
        loop.command("import", "jsonl", sample_file(), "--as", "pool")
        with loop.client() as client:
            made = client.create_project("Cold ward", build_config(SCHEMA, unit="sentence"))
        loop.number = made.id
        loop.start_backend(with_model=False)
        loop.command(
            *("connect", studio.url, "--token", studio.token),
            *("--project", made.id, "--backend-url", loop.url),
        )
        first = loop.command("push", "--check-next")
        terms = folder / "terms.tsv"
        terms.write_text(TERMS, encoding="utf-8")
        second = loop.command("push", "--lexicon", terms)
        with loop.client() as client:
            tasks = list(client.tasks(made.id))
        yield Cold(loop=loop, first=first, second=second, tasks=tasks)
    finally:
        loop.close()


@pytest.fixture(scope="module")
def page(browser: Browser, cold: Cold) -> Iterator[AnnotatorPage]:
    """An annotator who begins."""
    opened = AnnotatorPage(browser, cold.loop)
    yield opened
    opened.page.close()


def test_the_first_tasks_have_a_place_and_nothing_drawn(cold: Cold) -> None:
    drawn = [
        p["result"]
        for task in cold.tasks
        for p in task["predictions"]
        if p["model_version"] == "no-model-yet"
    ]

    assert cold.first["warmup"]["n_placed"] == len(drawn) == 50
    assert not any(drawn)


def test_without_a_model_the_next_task_is_not_asked_for(cold: Cold) -> None:
    assert cold.first["next_problem"] == "not compared: there is no model yet"


def test_label_studio_serves_our_first_task_with_the_lexicons_terms(
    cold: Cold, page: AnnotatorPage, artifacts: Path
) -> None:
    name = cold.second["warmup"]["name"]

    served = page.label_all()

    page.photograph(artifacts / "cold-start.png")
    task = next(task for task in cold.tasks if task["id"] == served)
    prediction = next(p for p in task["predictions"] if p["model_version"] == name)
    regions = [region["value"]["text"] for region in prediction["result"]]
    assert served == cold.placed(name)[0]
    assert sorted(page.highlights().values()) == sorted(regions)
    assert cold.second["warmup"]["n_regions"] > 0


def test_a_task_with_a_term_shows_it_and_where_it_comes_from(
    cold: Cold, page: AnnotatorPage, artifacts: Path
) -> None:
    name = cold.second["warmup"]["name"]
    task, prediction = next(
        (task, p)
        for task in cold.tasks
        for p in task["predictions"]
        if p["model_version"] == name and p["result"]
    )

    page.open_task(task["id"])

    page.photograph(artifacts / "lexicon.png")
    region = prediction["result"][0]
    assert region["value"]["text"] in page.highlights().values()
    assert region["meta"] == {"text": ["lexicon"]}
    assert name in page.page.content()
    assert page.crashes == []


def test_the_place_of_a_task_can_be_asked_for(cold: Cold) -> None:
    first = cold.placed(cold.second["warmup"]["name"])[0]

    told = cold.loop.command("why", first)

    assert (told["rank"], told["version"], told["utility"]) == (0, None, None)
    assert told["reason"] in {"warmup", "seed", "holdout"}
