"""Dialogs and HTML pages in the real editor: what we send is drawn at its words, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator_page import AnnotatorPage, Submitted
from loop_world import Loop, wait_for
from playwright.sync_api import Browser, Error

from annotator.domain import Entity, Relation
from annotator.studio.client import StudioClient
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.page import Page, open_page
from annotator.studio.server import RunningStudio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

RELATIONS = '<Relations><Relation value="causes"/></Relations>'
LABELS = '<Label value="Drug"/><Label value="Effect"/>'
CONFIGS = {
    "dialog": f"<View>{RELATIONS}"
    f'<ParagraphLabels name="label" toName="text">{LABELS}</ParagraphLabels>'
    '<Paragraphs name="text" value="$shown" layout="dialogue"/></View>',
    "page": f"<View>{RELATIONS}"
    f'<HyperTextLabels name="label" toName="text">{LABELS}</HyperTextLabels>'
    '<HyperText name="text" value="$shown" granularity="symbol"/></View>',
}
SHOWN: dict[str, Any] = {
    "dialog": [
        {"author": "Dr", "text": "Any 😀 pain today?"},
        {"author": "Pt", "text": "Yes 😀: aspirin caused a severe skin rash."},
    ],
    "page": "<h2>Course 😀</h2>\n<p>After 😀 <b>aspirin</b> a severe <i>skin</i> rash.</p>\n"
    "<table><tr><td>pain</td><td>none &amp; well</td></tr></table><ul><li>nausea</ul>",
}
MENTIONS = {
    "dialog": {
        "a": ("Drug", "aspirin"),
        "b": ("Effect", "severe skin rash"),
        "c": ("Effect", "pain"),
    },
    "page": {
        "a": ("Drug", "aspirin"),
        "b": ("Effect", "severe skin rash"),
        "c": ("Effect", "pain"),
        "d": ("Effect", "nausea"),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A task whose prediction was looked at in the editor and submitted as it was."""

    config: LabelConfig
    page: Page
    entities: tuple[Entity, ...]
    drawn: str
    arrows: list[str]
    sent: Submitted
    crashes: list[str]


def find_mentions(page: Page, layout: str) -> tuple[Entity, ...]:
    places = {key: page.text.index(mention) for key, (_, mention) in MENTIONS[layout].items()}
    return tuple(
        Entity(id=key, type=kind, start=places[key], end=places[key] + len(mention), score=0.9)
        for key, (kind, mention) in MENTIONS[layout].items()
    )


def read_highlights(editor: AnnotatorPage) -> str:
    """Return what is highlighted, in order and without blanks; a page has its own frame."""
    spans = list[str]()
    for frame in editor.page.frames:
        try:
            spans += frame.locator(".htx-highlight").all_text_contents()
        except Error:
            if not frame.is_detached():
                raise  # else the editor has put the page into a new frame: look again
    return "".join("".join(spans).split())


@pytest.fixture(scope="module", params=list(CONFIGS))
def opened(
    request: pytest.FixtureRequest,
    studio: RunningStudio,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
    artifacts: Path,
) -> Iterator[Opened]:
    layout = request.param
    config = parse_config(CONFIGS[layout])
    page = open_page({"shown": SHOWN[layout]}, config)
    entities = find_mentions(page, layout)
    relation = Relation(type="causes", head="a", tail="b", score=0.9)
    with StudioClient(studio.url, studio.token) as client:
        project = client.create_project(f"A {layout}", CONFIGS[layout])
        (task,) = client.import_tasks(project.id, [{"shown": SHOWN[layout]}])
        result = labels_to_result(entities, [relation], text=page, config=config)
        item = {"task": task, "model_version": "v1", "score": 0.9, "result": result}
        assert client.push_predictions(project.id, [item]) == 1
        client.select_version(project.id, "v1")
    home = tmp_path_factory.mktemp(layout)
    editor = AnnotatorPage(browser, Loop(home=home, studio=studio, port=0, number=project.id))
    editor.page.goto(f"{studio.url}/projects/{project.id}/data?task={task}")
    try:
        drawn = wait_for(lambda: read_highlights(editor), "a highlight")
        editor.page.wait_for_timeout(2_000)  # relation arrows are drawn after the text
        drawn, arrows = read_highlights(editor), editor.arrows()
    finally:
        editor.photograph(artifacts / f"{layout}.png")
    yield Opened(
        config=config,
        page=page,
        entities=entities,
        drawn=drawn,
        arrows=arrows,
        sent=editor.submit(),
        crashes=editor.crashes,
    )
    editor.page.close()


def test_predictions_are_drawn_at_their_words(opened: Opened) -> None:
    in_order = sorted(opened.entities, key=lambda entity: entity.start)

    mentions = [opened.page.text[entity.start : entity.end] for entity in in_order]
    assert opened.drawn == "".join("".join(mentions).split())
    assert opened.arrows == ["causes"]


def test_what_is_submitted_is_read_at_the_same_words(opened: Opened) -> None:
    labels = result_to_labels(opened.sent.result, text=opened.page, config=opened.config)

    assert labels.issues == ()
    assert {(e.id, e.type, e.start, e.end) for e in labels.entities} == {
        (e.id, e.type, e.start, e.end) for e in opened.entities
    }
    assert [(r.type, r.head, r.tail) for r in labels.relations] == [("causes", "a", "b")]


def test_the_editor_did_not_crash(opened: Opened) -> None:
    assert opened.crashes == []
