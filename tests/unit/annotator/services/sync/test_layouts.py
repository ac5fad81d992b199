"""Dialogs and pages go through the whole service: pulled, stored, predicted, pushed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_studio import FakeStudio, make_link
from run_world import register

from annotator.model import Predictor
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue.order import QueueSettings
from annotator.services.queue.publish import publish_version
from annotator.services.sync.upload import upload_tasks
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project, get_project
from annotator.store.versions import ModelVersion
from annotator.studio.config import parse_config
from annotator.studio.page import open_page
from annotator.studio.validation import validate_prediction

Pull = Callable[..., Any]
QUEUE = QueueSettings(strategy="mnlp", batch=5, random_share=0.0, per_document=3, seed=1)
RELATIONS = '<Relations><Relation value="causes"/><Relation value="treats"/></Relations>'
LABELS = '<Label value="Drug"/><Label value="Effect"/>'
DIALOG = (
    f"<View>{RELATIONS}"
    f'<ParagraphLabels name="label" toName="text">{LABELS}</ParagraphLabels>'
    '<Paragraphs name="text" value="$talk" textKey="said"/></View>'
)
PAGE = (
    f"<View>{RELATIONS}"
    f'<HyperTextLabels name="label" toName="text">{LABELS}</HyperTextLabels>'
    '<HyperText name="text" value="$talk"/></View>'
)
TURNS = [
    {"author": "Dr", "said": "Any 😀 pain today ?"},
    {"author": "Pt", "said": "😀 Aspirin induced severe rash ."},
]
HTML = "<p>Any 😀 pain today ?</p><p>😀 <b>Aspirin</b> induced severe rash .</p>"
CASES = [pytest.param(DIALOG, TURNS, id="dialog"), pytest.param(PAGE, HTML, id="page")]


def read(config_xml: str, shown: Any) -> Any:
    return open_page({"talk": shown}, parse_config(config_xml))


def region(config_xml: str, shown: Any, id: str, mention: str, label: str) -> dict[str, Any]:
    page, control = read(config_xml, shown), parse_config(config_xml).controls[0]
    start = page.text.index(mention)
    value = page.place(start, start + len(mention))
    return {
        "id": id,
        "from_name": "label",
        "to_name": "text",
        "type": control.kind,
        "value": {**value, control.kind: [label]},
    }


@pytest.fixture
def version(database: Database, linked: Project, tiny_model: Path) -> ModelVersion:
    return register(database, linked, tiny_model)


@pytest.mark.parametrize(("config_xml", "shown"), CASES)
def test_what_a_person_drew_is_gold_at_its_words(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Pull,
    config_xml: str,
    shown: Any,
) -> None:
    studio.config_xml = config_xml
    drug = region(config_xml, shown, "a", "Aspirin", "Drug")
    effect = region(config_xml, shown, "b", "rash", "Effect")
    task = studio.add_task(talk=shown)
    studio.annotate(task, [drug, effect, make_link("a", "b", "causes")])

    assert pull().problems == ()

    with database.read() as session:
        (unit,) = gold_units(session, linked.id)
    text = read(config_xml, shown).text
    assert [text[e.start : e.end] for e in unit.document.entities] == ["Aspirin", "rash"]
    assert [(r.type, r.head, r.tail) for r in unit.document.relations] == [("causes", "a", "b")]


@pytest.mark.parametrize(("config_xml", "shown"), CASES)
def test_predictions_are_pushed_in_the_terms_of_the_tag(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Pull,
    version: ModelVersion,
    tiny_model: Path,
    config_xml: str,
    shown: Any,
) -> None:
    studio.config_xml = config_xml
    studio.add_task(talk=shown)
    pull()

    predictor = Predictor.load(tiny_model, device="cpu")
    report = publish_version(database, linked, studio, version, lambda: predictor, queue=QUEUE)

    assert report.n_pushed == 1
    ((item,),) = studio.pushes
    page, config = read(config_xml, shown), parse_config(config_xml)
    assert validate_prediction(item, text=page, config=config) == []
    values = [one["value"] for one in item["result"] if one["type"] != "relation"]
    assert "Aspirin" in [value["text"] for value in values]
    drug = next(value for value in values if value["text"] == "Aspirin")
    assert drug["startOffset"] == (3 if config.layout == "paragraphs" else 0)  # after 😀: UTF-16


def test_markup_that_changed_under_the_same_text_is_followed(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Pull,
    version: ModelVersion,
    tiny_model: Path,
) -> None:
    studio.config_xml = PAGE
    task = studio.add_task(talk=HTML)
    pull()
    changed = HTML.replace("<b>", "<i>").replace("</b>", "</i>")
    studio.edit_task(task, talk=changed)
    pull()

    predictor = Predictor.load(tiny_model, device="cpu")
    publish_version(database, linked, studio, version, lambda: predictor, queue=QUEUE)

    assert "/p[2]/i[1]/text()[1]" in json.dumps(studio.pushes)
    assert "/p[2]/b[1]" not in json.dumps(studio.pushes)


@pytest.mark.parametrize(("config_xml", "shown"), CASES)
def test_tasks_of_our_own_notes_fit_the_tag(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    pull: Pull,
    version: ModelVersion,
    tiny_model: Path,
    config_xml: str,
    shown: Any,
) -> None:
    from factories import make_document

    studio.config_xml = config_xml
    pull()
    note = make_document("n1", "Aspirin < 5 mg & rest induced severe rash .\r\nFever 😀 .")
    ingest_documents(database, linked.id, [note], role="pool", holdout_share=0.0, seed=1)
    with database.read() as session:
        project = get_project(session, linked.name)
    upload_tasks(database, project, studio)

    texts = [read(config_xml, data["talk"]).text for data in studio.imports[0]]
    assert [text in note.text for text in texts] == [True] * len(texts)
    predictor = Predictor.load(tiny_model, device="cpu")
    publish_version(database, project, studio, version, lambda: predictor, queue=QUEUE)
    assert pull().problems == ()
    # The next version finds each task as it is, though a pull has seen them all by now.
    again = register(database, project, tiny_model, name="v2")
    publish_version(database, project, studio, again, lambda: predictor, queue=QUEUE)
    by_task = {item["task"]: item for item in studio.pushes[-1]}
    assert {item["model_version"] for item in by_task.values()} == {"v2"}
    for number, data in enumerate(studio.imports[0], start=1):
        problems = validate_prediction(
            by_task[number], text=read(config_xml, data["talk"]), config=parse_config(config_xml)
        )
        assert problems == []


@pytest.mark.parametrize("config_xml", [DIALOG, PAGE], ids=["dialog", "page"])
def test_a_task_of_ours_with_carriage_returns_is_known_again(
    database: Database, linked: Project, studio: FakeStudio, pull: Pull, config_xml: str
) -> None:
    from factories import make_document

    studio.config_xml = config_xml
    pull()
    note = make_document("n1", "Aspirin induced\r\nsevere rash .")
    ingest_documents(database, linked.id, [note], role="pool", holdout_share=0.0, seed=1)
    with database.read() as session:
        project = get_project(session, linked.name)
    upload_tasks(database, project, studio)
    ((data,),) = studio.imports
    studio.annotate(1, [region(config_xml, data["talk"], "a", "rash", "Effect")])

    assert pull().problems == ()

    with database.read() as session:
        (unit,) = gold_units(session, linked.id)
    assert unit.document.id.startswith("n1")
    assert [unit.document.mention(entity) for entity in unit.document.entities] == ["rash"]
