"""What people correct in the browser, and what they are shown after the next training run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator_page import AnnotatorPage, Submitted
from loop_world import Loop, Stored, wait_for
from playwright.sync_api import Browser

from annotator.studio.config import LabelConfig, parse_config

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrected:
    """A task in which a relation was deleted, a region relabelled and an entity drawn."""

    prediction: list[dict[str, Any]]
    relabelled: str
    drawn: str
    sent: Submitted
    stored: Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The task that the label stream serves, and the scores of all that it might have served."""

    score: float
    scores: list[float]
    highlights: dict[str, str]
    mentions: dict[str, str]


@pytest.fixture(scope="module")
def page(browser: Browser, loop: Loop) -> Iterator[AnnotatorPage]:
    """One annotator at work."""
    opened = AnnotatorPage(browser, loop)
    yield opened
    opened.page.close()


@pytest.fixture(scope="module")
def config(loop: Loop) -> LabelConfig:
    """The labeling configuration; a label's key is its place."""
    with loop.client() as client:
        return parse_config(client.project(loop.number).config_xml)


def open_tasks(loop: Loop) -> list[dict[str, Any]]:
    """Tasks that nobody has worked on, as Label Studio has them."""
    return [task for task in loop.tasks() if not task["annotations"]]


def free_words(task: dict[str, Any]) -> list[str]:
    """Words that stand once in a task's text and in no predicted region."""
    text = task["data"]["text"]
    regions = [r["value"] for r in task["predictions"][0]["result"] if r["type"] == "labels"]
    return [
        found.group()
        for found in re.finditer(r"[a-z]{4,}", text)
        if text.count(found.group()) == 1
        and not any(r["start"] < found.end() and found.start() < r["end"] for r in regions)
    ]


def links(result: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The relations of a result."""
    return [item for item in result if item["type"] == "relation"]


@pytest.fixture(scope="module")
def corrected(page: AnnotatorPage, loop: Loop, config: LabelConfig, artifacts: Path) -> Corrected:
    """One open task with a relation and a word to spare, corrected in three ways and submitted."""
    task = next(
        task
        for task in open_tasks(loop)
        if links(task["predictions"][0]["result"]) and free_words(task)
    )
    result, word = task["predictions"][0]["result"], free_words(task)[0]
    region = next(item for item in result if item["type"] == "labels")
    other = next(
        i for i, label in enumerate(config.labels) if label != region["value"]["labels"][0]
    )
    page.open_task(task["id"])
    page.delete_relation()
    page.relabel_region(region["id"], key=str(other + 1))
    page.draw_entity(word, key="1")
    page.photograph(artifacts / "task-corrected.png")
    sent = page.submit()
    stored = wait_for(lambda: loop.stored(sent.annotation), "the corrected annotation")
    return Corrected(
        prediction=result, relabelled=region["id"], drawn=word, sent=sent, stored=stored
    )


def test_each_correction_is_told_apart_in_our_database(
    corrected: Corrected, config: LabelConfig
) -> None:
    n_entities = sum(item["type"] == "labels" for item in corrected.prediction)
    n_relations = len(links(corrected.prediction))

    diff = corrected.stored.diff

    assert diff == {
        "entities_kept": n_entities - 1,
        "entities_relabelled": 1,
        "entities_rebounded": 0,
        "entities_removed": 0,
        "entities_added": 1,
        "relations_kept": n_relations - 1,
        "relations_relabelled": 0,
        "relations_rebounded": 0,
        "relations_removed": 1,
        "relations_added": 0,
    }


def test_a_drawn_entity_is_stored_at_its_word_with_its_label(
    corrected: Corrected, config: LabelConfig
) -> None:
    known = {item.get("id") for item in corrected.prediction}
    drawn = [r for r in corrected.stored.raw if r["type"] == "labels" and r["id"] not in known]

    assert [(r["value"]["text"], r["value"]["labels"]) for r in drawn] == [
        (corrected.drawn, [config.labels[0]])
    ]


def test_a_deleted_relation_is_gone_and_the_others_are_there(corrected: Corrected) -> None:
    kept = {(r["from_id"], r["to_id"]) for r in links(corrected.stored.raw)}
    before = {(r["from_id"], r["to_id"]) for r in links(corrected.prediction)}

    assert kept < before
    assert len(kept) == len(before) - 1


@pytest.fixture(scope="module")
def served(page: AnnotatorPage, loop: Loop, corrected: Corrected, artifacts: Path) -> Served:
    """What the label stream serves after a training run that saw the corrections."""
    version = loop.command("retrain", "--wait", "--force")["version"]

    def published() -> list[dict[str, Any]] | None:
        with loop.client() as client:
            selected = client.project(loop.number).model_version
        tasks = open_tasks(loop)
        latest = [task["predictions"] for task in tasks]
        return tasks if selected == version and all(latest) else None

    tasks = wait_for(published, f"predictions of {version} on every open task", timeout_s=300)
    found = {task["id"]: task["predictions"][0] for task in tasks}
    task = page.label_all()
    page.photograph(artifacts / "label-stream-retrained.png")
    regions = [r for r in found[task]["result"] if r["type"] == "labels"]
    return Served(
        score=found[task]["score"],
        scores=[prediction["score"] for prediction in found.values()],
        highlights=page.highlights(),
        mentions={r["id"]: r["value"]["text"] for r in regions},
    )


def test_after_a_training_run_the_least_certain_task_of_the_new_version_is_served(
    served: Served,
) -> None:
    assert len(served.scores) > 1
    assert served.score == min(served.scores)


def test_its_predictions_by_the_new_version_are_drawn(served: Served) -> None:
    assert served.highlights == served.mentions


def test_the_editor_did_not_crash(page: AnnotatorPage, served: Served) -> None:
    assert page.crashes == []
