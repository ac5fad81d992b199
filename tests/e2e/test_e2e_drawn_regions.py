"""Regions drawn by hand in a real editor: gold is what is drawn, a prediction where we meant it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from annotator_page import AnnotatorPage, Submitted
from drawn_cases import PAGES, TEXTS, Case
from loop_world import Loop, wait_for
from playwright.sync_api import Browser, Error, Frame

from annotator.domain import Document, Entity
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.connect import StudioLink
from annotator.services.sync.pull import reconcile
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import adopt_schema, ensure_project, get_project, link_studio
from annotator.store.rereading import count_issues
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.codec import labels_to_result
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.page import Page, open_page
from annotator.studio.server import RunningStudio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

LABELS = '<Label value="Sign" hotkey="1"/><Label value="Drug" hotkey="2"/>'
CONFIGS = {
    "page": f'<View><HyperTextLabels name="label" toName="text">{LABELS}</HyperTextLabels>'
    '<HyperText name="text" value="$note.shown" granularity="symbol"/></View>',
    "text": f'<View><Labels name="label" toName="text">{LABELS}</Labels>'
    '<Text name="text" value="$note.shown" granularity="symbol"/></View>',
}
CASES = {"page": PAGES, "text": TEXTS}
ALL = [pytest.param(kind, name, id=f"{kind}: {name}") for kind in CASES for name in CASES[kind]]
_SETTLED_MS = 500
# The rectangles of the nth place of some words among what can be seen, scrolled to.
FIND = """([words, nth]) => {
    const root = document.querySelector('div.lsf-htx-richtext') || document.body;
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const nodes = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const range = document.createRange();
        range.selectNodeContents(node);
        const boxes = [...range.getClientRects()];
        if (boxes.some(box => box.width > 0) || /^\\s+$/.test(node.data)) nodes.push(node);
    }
    let text = nodes.map(node => node.data).join('');
    if (root !== document.body) {  // a <Text> has an element for every line break
        const parts = [];
        nodes.length = 0;
        const every = document.createTreeWalker(root, NodeFilter.SHOW_ALL);
        for (let node = every.nextNode(); node; node = every.nextNode()) {
            if (node.nodeType === 3) { nodes.push(node); parts.push(node.data); }
            else if (node.nodeName === 'BR') { nodes.push({data: '\\n'}); parts.push('\\n'); }
        }
        text = parts.join('');
        words = words.replace(/\\r/g, '\\n');
    }
    let at = -1;
    for (let n = 0; n <= nth; n++) at = text.indexOf(words, at + 1);
    if (at < 0) throw new Error('the words are not there');
    const place = (offset, isEnd) => {
        for (const node of nodes) {
            const length = node.data.length;
            if (isEnd ? offset <= length : offset < length) return [node, offset];
            offset -= length;
        }
    };
    const range = document.createRange();
    range.setStart(...place(at, false));
    range.setEnd(...place(at + words.length, true));
    range.startContainer.parentElement.scrollIntoView({block: 'center'});
    const boxes = [...range.getClientRects()].filter(box => box.width > 0);
    return [boxes[0], boxes[boxes.length - 1]].map(b => [b.left, b.right, b.top + b.height / 2]);
}"""
SPANS = """spans => spans.map(span => [
    [...span.classList].find(name => /^htx-highlight-.*-\\d+$/.test(name)), span.textContent])"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A submitted task: what the editor highlighted, by region, and what it sent."""

    task: int
    hand: str
    highlights: Mapping[str, str]
    sent: Submitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All tasks of one kind, submitted and pulled into our database."""

    config: LabelConfig
    drawn: Mapping[str, Drawn]
    gold: Mapping[str, Document]
    issues: Mapping[str, int]
    crashes: list[str]


def predicted_span(page: Page, case: Case) -> tuple[int, int]:
    start = page.text.index(case.predicted)
    return start, start + len(case.predicted)


def the_frame(editor: AnnotatorPage) -> Frame | None:
    """Return where something is highlighted; the editor puts a page into new frames for a while."""
    for frame in editor.page.frames:
        try:
            if frame.locator(".htx-highlight").count():
                return frame
        except Error:
            if not frame.is_detached():
                raise
    return None


def highlights(frame: Frame) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in frame.locator(".htx-highlight").evaluate_all(SPANS):
        region = re.sub(r"^htx-highlight-(.*)-\d+$", r"\1", name)
        found[region] = found.get(region, "") + text
    return found


def draw(editor: AnnotatorPage, frame: Frame, case: Case) -> str:
    """Draw a region with the mouse; return its id."""
    before = set(highlights(frame))
    first, last = frame.evaluate(FIND, [case.drawn, case.nth])
    element = None if frame is editor.page.main_frame else frame.frame_element().bounding_box()
    x, y = (element["x"], element["y"]) if element else (0.0, 0.0)
    (left, right, top), mouse = first, editor.page.mouse
    editor.page.keyboard.press("1")
    if case.how == "double":
        mouse.dblclick(x + (left + right) / 2, y + top)
    else:
        begin, end = (first[1] - 1, last[0] + 1) if "right" in case.how else (left + 1, last[1] - 1)
        mouse.move(x + begin, y + top)
        mouse.down()
        mouse.move(x + (begin + end) / 2, y + (top + last[2]) / 2, steps=3)
        mouse.move(x + end, y + last[2], steps=3)
        mouse.up()
    (made,) = wait_for(lambda: set(highlights(frame)) - before, "a region", timeout_s=10)
    editor.page.keyboard.press("Escape")
    return made


def next_drawing(editor: AnnotatorPage, done: str) -> Frame | None:
    """Return where a prediction is highlighted, and the region drawn before is not."""
    frame = the_frame(editor)
    return frame if frame is not None and done not in highlights(frame) else None


def label_all(
    editor: AnnotatorPage, kind: str, tasks: Mapping[str, int], artifacts: Path
) -> Iterator[tuple[str, Drawn]]:
    """Go through *Label All Tasks*, which come in their order; draw on each and submit it."""
    editor.label_all()
    hand = ""
    for name, task in tasks.items():
        try:
            wait_for(lambda done=hand: next_drawing(editor, done), name)
            editor.page.wait_for_timeout(_SETTLED_MS)
            frame = wait_for(lambda done=hand: next_drawing(editor, done), name)
            hand = draw(editor, frame, CASES[kind][name])
            seen = highlights(frame)
        except Exception:
            editor.photograph(artifacts / f"drawn-{kind}-{name}.png")
            raise
        sent = editor.submit()
        assert sent.task == task
        yield name, Drawn(task=task, hand=hand, highlights=seen, sent=sent)


def push_predictions(
    client: StudioClient, project: StudioProject, config: LabelConfig, kind: str
) -> dict[str, int]:
    """Import the tasks, each with a prediction of ours; return their ids."""
    data = {name: {"note": {"shown": case.shown}} for name, case in CASES[kind].items()}
    tasks = dict(zip(data, client.import_tasks(project.id, list(data.values())), strict=True))
    items = []
    for name, case in CASES[kind].items():
        page = open_page(data[name], config)
        start, end = predicted_span(page, case)
        entity = Entity(id="ours", type="Drug", start=start, end=end, score=0.9)
        result = labels_to_result([entity], [], text=page, config=config)
        items.append({"task": tasks[name], "model_version": "v1", "score": 0.9, "result": result})
    assert client.push_predictions(project.id, items) == len(items)
    client.select_version(project.id, "v1")
    return tasks


def pull(
    home: Path, client: StudioClient, there: StudioProject
) -> tuple[list[Any], dict[str, int]]:
    """Pull a project into a new database; return its gold and what could not be read."""
    database = Database(f"sqlite:///{home / 'drawn.db'}")
    database.upgrade()
    try:
        with database.write() as session:
            made = ensure_project(session, name="drawn", unit="document")
            config = parse_config(there.config_xml)
            link = StudioLink(host=client.url, key=there.key, project_id=there.id)
            link_studio(session, made.id, link)
            adopt_schema(session, made.id, config.schema, config_xml=there.config_xml)
        with database.read() as session:
            project = get_project(session, "drawn")
        split = SplitRule(holdout_share=0.0, seed=1)
        assert reconcile(database, project, client, split=split, full=True).problems == ()
        with database.read() as session:
            return list(gold_units(session, project.id)), count_issues(session, project.id)
    finally:
        database.close()


@pytest.fixture(scope="module")
def outcomes(
    studio: RunningStudio,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
    artifacts: Path,
) -> dict[str, Outcome]:
    found = {}
    for kind, xml in CONFIGS.items():
        home, config = tmp_path_factory.mktemp(kind), parse_config(xml)
        with StudioClient(studio.url, studio.token) as client:
            project = client.create_project(f"Drawn: {kind}", xml)
            tasks = push_predictions(client, project, config, kind)
            loop = Loop(home=home, studio=studio, port=0, number=project.id)
            editor = AnnotatorPage(browser, loop)
            drawn = dict(label_all(editor, kind, tasks, artifacts))
            editor.page.close()
            units, issues = pull(home, client, client.project(project.id))
        by_task = {unit.document.id.split("-")[1]: unit.document for unit in units}
        found[kind] = Outcome(
            config=config,
            drawn=drawn,
            gold={name: by_task[str(task)] for name, task in tasks.items()},
            issues=issues,
            crashes=editor.crashes,
        )
    return found


def squeeze(text: str) -> str:
    return "".join(text.split())


def stored(outcome: Outcome, name: str, region: str) -> tuple[Document, Entity]:
    document = outcome.gold[name]
    return document, next(one for one in document.entities if one.id == region)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_region_drawn_by_hand_is_gold_as_the_editor_shows_it(
    outcomes: dict[str, Outcome], kind: str, name: str
) -> None:
    outcome, case = outcomes[kind], CASES[kind][name]
    drawn = outcome.drawn[name]

    document, entity = stored(outcome, name, drawn.hand)

    assert squeeze(document.mention(entity)) == squeeze(drawn.highlights[drawn.hand])
    assert squeeze(document.mention(entity)) == squeeze(case.drawn)
    before = squeeze(document.text[: entity.start])
    assert before.count(squeeze(case.drawn)) == case.nth


@pytest.mark.parametrize("name", TEXTS)
def test_offsets_of_a_text_are_those_that_were_drawn(
    outcomes: dict[str, Outcome], name: str
) -> None:
    outcome = outcomes["text"]
    drawn = outcome.drawn[name]
    sent = {region["id"]: region["value"] for region in drawn.sent.result}

    document, entity = stored(outcome, name, drawn.hand)

    assert (entity.start, entity.end) == (sent[drawn.hand]["start"], sent[drawn.hand]["end"])
    assert document.text == TEXTS[name].shown
    assert document.mention(entity) == TEXTS[name].drawn


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_prediction_is_drawn_where_we_meant_and_comes_back_from_there(
    outcomes: dict[str, Outcome], kind: str, name: str
) -> None:
    outcome, case = outcomes[kind], CASES[kind][name]

    document, entity = stored(outcome, name, "ours")

    assert squeeze(outcome.drawn[name].highlights["ours"]) == squeeze(case.predicted)
    assert document.mention(entity) == case.predicted
    assert entity.start == document.text.index(case.predicted)


@pytest.mark.parametrize("kind", CASES)
def test_nothing_is_reported_and_the_editor_did_not_crash(
    outcomes: dict[str, Outcome], kind: str
) -> None:
    assert outcomes[kind].issues == {}
    assert outcomes[kind].crashes == []
