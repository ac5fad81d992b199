"""The ten things of Label Studio that bite its backends, each kept from biting here.

What Label Studio does is recorded; the tests of a real one are under ``e2e``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_world import BASIC, CONFIG_XML, PASSWORD, World, make_predict, open_world
from factories import LINK, make_document
from fake_studio import FakeStudio
from flask.testing import FlaskClient

from annotator.errors import StudioError
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue.order import QueueSettings
from annotator.services.queue.publish import PublishReport, publish_version
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.corrections import compare_labels
from annotator.services.sync.upload import upload_tasks
from annotator.services.sync.webhooks import process_inbox, receive_event
from annotator.store.annotations import current_revision
from annotator.store.gold import gold_units
from annotator.store.projects import Project, get_project, link_studio
from annotator.studio.codec import result_to_labels
from annotator.studio.config import parse_config
from annotator.studio.connection import WEBHOOK_ACTIONS, webhook_body
from annotator.studio.page import open_page
from annotator.studio.validation import clean_prediction

FOLDER = Path(__file__).parent / "recorded"
EVENTS = {
    event["name"]: event["body"]
    for event in json.loads((FOLDER / "inbox_events.json").read_text(encoding="utf-8"))
}
TEXT = "Aspirin caused a rash."


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project with a model in use."""
    with open_world(tmp_path_factory.mktemp("ten")) as opened:
        yield opened


@pytest.fixture
def client(world: World) -> FlaskClient:
    """Label Studio's connector, with its credentials."""
    client = world.client()
    client.environ_base["HTTP_AUTHORIZATION"] = BASIC["Authorization"]
    return client


@pytest.fixture
def linked(world: World) -> Project:
    """The project, connected to the Label Studio that the tests make up."""
    with world.database.write() as session:
        link_studio(session, world.project_id, LINK)
        return get_project(session, world.settings.project)


@pytest.fixture
def studio(world: World) -> FakeStudio:
    """A Label Studio with the project's labels."""
    made = FakeStudio()
    made.config_xml = CONFIG_XML
    return made


@pytest.fixture
def publish(world: World, linked: Project, studio: FakeStudio) -> Any:
    """Uploads two sentences of a document with this name and pushes what is predicted of them."""

    def run(name: str) -> PublishReport:
        document = make_document(name, f"{TEXT} Ibuprofen treats {name}.")
        ingest_documents(
            world.database, linked.id, [document], role="pool", holdout_share=0.0, seed=1
        )
        upload_tasks(world.database, linked, studio)
        loaded = world.models.current()
        assert loaded is not None
        queue = QueueSettings(strategy="mnlp", batch=5, random_share=0.2, per_document=3, seed=1)
        return publish_version(
            world.database, linked, studio, loaded.version, lambda: loaded.predictor, queue=queue
        )

    return run


def test_1_an_event_without_credentials_is_refused_and_the_repaired_webhook_carries_them(
    world: World,
) -> None:
    body = webhook_body(1, backend_url="http://b", user="annotator", password=PASSWORD)
    event = EVENTS["08-annotation-create"]
    nobody = world.client()

    refused = nobody.post("/webhook", json=event)
    taken = nobody.post("/webhook", json=event, headers=body["headers"])

    assert (refused.status_code, taken.status_code) == (401, 201)
    assert body["actions"] == list(WEBHOOK_ACTIONS)


def test_2_the_version_that_is_selected_is_the_one_of_the_stored_predictions(
    publish: Any, studio: FakeStudio
) -> None:
    publish("second")

    pushed = {item["model_version"] for items in studio.pushes for item in items}
    scores = [item["score"] for items in studio.pushes for item in items]
    assert pushed == {studio.model_version} == {"tiny-1"}
    assert all(0 <= score <= 1 for score in scores)


def test_3_no_relation_leaves_that_names_a_missing_region() -> None:
    recorded = load("41-ui-dangling-relation")
    config = parse_config(load("02-setup-request")["body"]["schema"])
    prediction = {"score": 0.5, "result": recorded["prediction_result_stored"]}

    cleaned = clean_prediction(prediction, text=recorded["task_text"], config=config)

    assert "relation" in {item["type"] for item in prediction["result"]}
    assert {item["type"] for item in cleaned.prediction["result"]} == {"labels"}


def test_4_there_are_as_many_results_as_tasks_in_their_order(client: FlaskClient) -> None:
    texts = (TEXT, "", None, "broken \ud83d half", "Nothing at all.", TEXT)

    results = client.post("/predict", json=make_predict(*texts)).get_json()["results"]

    assert len(results) == len(texts)
    assert [result["result"] for result in results[1:4]] == [[], [], []]
    assert results[0] == results[5]
    assert results[0]["result"] != []


def test_5_health_setup_and_versions_neither_load_nor_reset_a_model(
    client: FlaskClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = world.models.current()
    monkeypatch.setattr(world.models, "refresh", None)  # calling it would fail
    monkeypatch.setattr(world.models, "_load", None)

    answers = [
        client.get("/health"),
        client.post("/setup", json=load("02-setup-request")["body"]),
        client.get("/versions"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert world.models.current() is before


def test_6_setup_and_predict_tell_the_same_version(client: FlaskClient) -> None:
    setup = client.post("/setup", json=load("02-setup-request")["body"]).get_json()
    results = client.post("/predict", json=make_predict(TEXT, "")).get_json()["results"]

    assert {result["model_version"] for result in results} == {setup["model_version"]}


def test_7_a_push_of_which_label_studio_drops_an_item_is_no_success(
    publish: Any, studio: FakeStudio
) -> None:
    studio.refused_tasks = set(range(1000))

    with pytest.raises(StudioError, match="Label Studio refuses all"):
        publish("seventh")

    assert studio.model_version == ""


def test_8_a_skipped_task_is_no_gold_though_its_result_is_not_empty(
    world: World, linked: Project
) -> None:
    event = json.loads(json.dumps(EVENTS["11-skip"]))
    event["project"]["id"] = LINK.project_id
    split = SplitRule(holdout_share=0.0, seed=1)
    process_inbox(world.database, linked, split=split)  # what other tests have sent
    with world.database.write() as session:
        before = list(gold_units(session, linked.id))
        receive_event(session, event)

    report = process_inbox(world.database, linked, split=split)

    assert event["annotation"]["result"] != []
    assert report.n_failed == 0
    with world.database.read() as session:
        row = current_revision(
            session, linked.id, source="studio", external_id=str(event["annotation"]["id"])
        )
        found = row.state, list(gold_units(session, linked.id))
    assert found == ("skipped", before)


def test_9_what_became_of_relations_is_found_by_comparing() -> None:
    config = parse_config(load("02-setup-request")["body"]["schema"])
    recorded = load("39-ui-submit-edited")
    text = recorded["task_text"]
    sides = [
        result_to_labels(recorded[side]["result"], text=text, config=config)
        for side in ("prediction", "submitted")
    ]

    changes = compare_labels(*((side.entities, side.relations) for side in sides))

    # A person drew one relation without a label, and no relation says where it came from.
    submitted = [r for r in recorded["submitted"]["result"] if r["type"] == "relation"]
    assert not any("origin" in relation for relation in submitted)
    assert changes.relations_added == 1
    assert changes.relations_kept + changes.relations_added == len(submitted)


@pytest.mark.parametrize(
    ("tag", "control", "value", "data"),
    [
        (
            "Text",
            "labels",
            {"start": 5, "end": 12},
            {"text": "a 😀\r\naspirin"},
        ),
        (
            "Paragraphs",
            "paragraphlabels",
            {"start": "1", "end": "1", "startOffset": 3, "endOffset": 10},
            {"text": [{"author": "a", "text": "Any?"}, {"author": "b", "text": "😀 aspirin"}]},
        ),
        (
            "HyperText",
            "hypertextlabels",
            {
                "start": "/p[1]/text()[1]",
                "end": "/p[1]/text()[1]",
                "startOffset": 3,
                "endOffset": 10,
                "globalOffsets": {"start": 2, "end": 9},
            },
            {"text": "<p>😀 aspirin</p>"},
        ),
    ],
    ids=["code points", "utf-16 within a turn", "both"],
)
def test_10_offsets_count_as_each_tag_counts(
    tag: str, control: str, value: dict[str, Any], data: dict[str, Any]
) -> None:
    names = {"labels": "Labels", "paragraphlabels": "ParagraphLabels"}
    name = names.get(control, "HyperTextLabels")
    config = parse_config(
        f'<View><{name} name="label" toName="text"><Label value="Drug"/></{name}>'
        f'<{tag} name="text" value="$text"/></View>'
    )
    region = {"id": "a", "from_name": "label", "to_name": "text", "type": control}
    page = open_page(data, config)

    labels = result_to_labels(
        [{**region, "value": {**value, control: ["Drug"]}}], text=page, config=config
    )

    assert labels.issues == ()
    assert [page.text[e.start : e.end] for e in labels.entities] == ["aspirin"]
