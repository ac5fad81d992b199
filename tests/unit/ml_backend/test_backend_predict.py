from __future__ import annotations

from typing import Any

import pytest
from backend_world import BASIC, CONFIG_XML, World, make_predict
from flask.testing import FlaskClient

from annotator.domain import WordEntity
from annotator.model import Predictor
from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction

SENTENCE = "aspirin induced severe rash ."
OTHER = "fever was treated with ibuprofen ."


@pytest.fixture
def world(shared_world: World) -> World:
    """The shared project: predicting changes nothing but the cache."""
    return shared_world


@pytest.fixture
def strange_model(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A model that fails on the word 'boom', with the text in its message."""
    predict = Predictor.predict

    def fail(self: Predictor, sentences: Any) -> Any:
        if any("boom" in words for words in sentences):
            raise RuntimeError("cannot stand boom")
        return predict(self, sentences)

    monkeypatch.setattr(Predictor, "predict", fail)
    return world


def predict(client: FlaskClient, *texts: Any, **extra: Any) -> list[dict[str, Any]]:
    answer = client.post("/predict", json=make_predict(*texts, **extra))
    assert answer.status_code == 200, answer.json
    return answer.json["results"]


def test_entities_and_relations_are_predicted(client: FlaskClient) -> None:
    [prediction] = predict(client, SENTENCE)

    labels = [r["value"]["labels"] for r in prediction["result"] if r["type"] == "labels"]
    relations = [r for r in prediction["result"] if r["type"] == "relation"]
    assert labels == [["Drug"], ["Effect"]]
    assert [r["labels"] for r in relations] == [["causes"]]


def test_each_task_gets_its_own_result_in_order(client: FlaskClient) -> None:
    results = predict(client, SENTENCE, "", OTHER, SENTENCE)

    alone = [predict(client, text)[0] for text in (SENTENCE, "", OTHER, SENTENCE)]
    assert results == alone
    assert results[0] != results[2]


def test_no_tasks_are_no_results(client: FlaskClient) -> None:
    assert predict(client) == []


@pytest.mark.parametrize("text", ["", " \n\t "], ids=["empty", "blank"])
def test_a_document_without_words_gets_an_empty_result(client: FlaskClient, text: str) -> None:
    [prediction] = predict(client, text)

    assert prediction == {"model_version": "tiny-1", "score": 1.0, "result": []}


@pytest.mark.parametrize(
    "task",
    [
        {"id": 2},
        {"id": 2, "data": None},
        {"id": 2, "data": {"body": SENTENCE}},
        {"id": 2, "data": {"text": 7}},
        {"id": "two", "data": {"text": None}},
        {},
    ],
    ids=["no data", "null data", "other field", "number", "odd id", "nothing"],
)
def test_a_task_without_text_is_empty_and_its_neighbours_are_not(
    client: FlaskClient, task: dict[str, Any]
) -> None:
    request = make_predict(SENTENCE)
    request["tasks"] = [task, *request["tasks"]]

    results = client.post("/predict", json=request).json["results"]

    assert results[0] == {"model_version": "tiny-1", "score": 0.0, "result": []}
    assert len(results[1]["result"]) == 3


def test_a_task_on_which_the_model_fails_is_empty_and_its_neighbours_are_not(
    strange_model: World, capsys: pytest.CaptureFixture[str]
) -> None:
    client = strange_model.client()

    answer = client.post(
        "/predict", json=make_predict(SENTENCE, "boom went the drug", OTHER), headers=BASIC
    )

    sizes = [len(one["result"]) for one in answer.json["results"]]
    assert sizes == [3, 0, 3]
    told = "".join(capsys.readouterr())
    assert "predict.task_failed" in told
    assert "cannot stand" not in told


def test_a_model_that_fails_on_everything_stores_nothing(strange_model: World) -> None:
    answer = strange_model.client().post("/predict", json=make_predict("boom"), headers=BASIC)

    assert answer.status_code == 503
    assert answer.json["code"] == "model_failed"


def test_what_was_predicted_once_is_not_computed_again(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = predict(client, SENTENCE)
    monkeypatch.setattr(Predictor, "predict", None)

    assert predict(client, SENTENCE) == first


def test_the_text_is_found_in_the_field_that_the_configuration_names(client: FlaskClient) -> None:
    request = make_predict(label_config=CONFIG_XML.replace("$text", "$report"))
    request["tasks"] = [{"id": 1, "data": {"report": SENTENCE, "text": OTHER}}]

    [prediction] = client.post("/predict", json=request).json["results"]

    assert prediction["result"][0]["value"]["text"] == "aspirin"


def test_without_a_configuration_the_stored_one_is_used(client: FlaskClient) -> None:
    assert predict(client, SENTENCE, label_config=None) == predict(client, SENTENCE)


def test_labels_that_the_configuration_lacks_are_not_sent(client: FlaskClient) -> None:
    narrow = CONFIG_XML.replace('<Label value="Effect"/>', "")

    [prediction] = predict(client, SENTENCE, label_config=narrow)

    assert [r["value"]["labels"] for r in prediction["result"]] == [["Drug"]]


def test_a_sentence_task_is_not_split(client: FlaskClient) -> None:
    text = "aspirin induced severe rash . fever was treated with ibuprofen ."
    request = make_predict(text)
    request["tasks"][0]["data"]["sent_start"] = 40

    answer = client.post("/predict", json=request)

    assert answer.status_code == 200
    assert len(answer.json["results"]) == 1


def test_offsets_count_code_points_in_a_document_of_many_sentences(client: FlaskClient) -> None:
    text = f"😀 e\u0301 \U0001d6fd.\r\n\r\n{SENTENCE}\r\n\r\n{OTHER}"

    [prediction] = predict(client, text)

    problems = validate_prediction(prediction, text=text, config=parse_config(CONFIG_XML))
    mentions = {r["value"]["text"] for r in prediction["result"] if "value" in r}
    assert problems == []
    assert {"aspirin", "ibuprofen"} <= mentions


def test_a_lone_surrogate_does_not_break_its_neighbours(client: FlaskClient) -> None:
    results = predict(client, "aspirin \ud800 rash", SENTENCE)

    assert [len(one["result"]) for one in results] == [0, 3]


def test_without_a_model_the_answer_says_so(bare_client: FlaskClient) -> None:
    answer = bare_client.post("/predict", json=make_predict(SENTENCE))

    assert answer.status_code == 503
    assert answer.json["code"] == "no_model"
    assert "annotator retrain" in answer.json["error"]


def test_too_many_tasks_are_refused(world: World) -> None:
    client = world.client(max_tasks=2)

    answer = client.post("/predict", json=make_predict("a", "b", "c"), headers=BASIC)

    assert answer.status_code == 413
    assert "max_tasks = 2" in answer.json["error"]


def test_a_text_that_is_too_long_is_refused(world: World) -> None:
    client = world.client(max_text_chars=20)

    answer = client.post("/predict", json=make_predict(SENTENCE), headers=BASIC)

    assert answer.status_code == 413
    assert "max_text_chars = 20" in answer.json["error"]


def test_a_text_that_is_too_long_does_not_cost_its_neighbours(world: World) -> None:
    client = world.client(max_text_chars=40)

    answer = client.post("/predict", json=make_predict(SENTENCE, "a" * 41), headers=BASIC)

    assert [len(one["result"]) for one in answer.json["results"]] == [3, 0]


def test_a_request_without_time_is_told_to_ask_again(world: World) -> None:
    hasty, patient = world.client(max_predict_s=1e-6), world.client()
    wanted = make_predict("pain without any time for it .")

    answer = hasty.post("/predict", json=wanted, headers=BASIC)

    assert (answer.status_code, answer.json["code"]) == (503, "out_of_time")
    assert "max_predict_s" in answer.json["error"]
    assert patient.post("/predict", json=wanted, headers=BASIC).status_code == 200


def test_a_sentence_that_is_too_long_is_said_to_be_cut(client: FlaskClient) -> None:
    texts = [SENTENCE, "aspirin rash " * 260]

    answer = client.post("/predict", json=make_predict(*texts)).json

    assert len(answer["results"]) == 2
    assert [one["task"] for one in answer["bounded"]] == [2]
    assert "512 words" in answer["bounded"][0]["reason"]


def test_predictions_beyond_the_threads_are_refused_for_a_moment(world: World) -> None:
    client = world.client()
    slots = client.application.extensions["annotator"].slots
    taken = [slots.acquire(blocking=False) for _ in range(world.settings.threads)]

    answer = client.post("/predict", json=make_predict(SENTENCE), headers=BASIC)

    assert all(taken)
    assert answer.status_code == 503
    assert answer.json["code"] == "busy"
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("xml", ["<View>", "<View/>", 7], ids=["no XML", "no labels", "number"])
def test_a_configuration_that_cannot_be_used_is_refused(client: FlaskClient, xml: Any) -> None:
    answer = client.post("/predict", json=make_predict(SENTENCE, label_config=xml))

    assert answer.status_code == 400
    assert "config" in answer.json["error"]


def region(id: str, start: int, end: int, label: str) -> dict[str, Any]:
    return {
        "id": id,
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "origin": "manual",
        "value": {"start": start, "end": end, "text": SENTENCE[start:end], "labels": [label]},
    }


def interactive(client: FlaskClient, *drawn: Any) -> dict[str, Any]:
    request = make_predict(SENTENCE, params={"context": {"result": list(drawn)}})
    [prediction] = client.post("/predict", json=request).json["results"]
    return prediction


def test_drawn_regions_come_back_with_the_relations_among_them(client: FlaskClient) -> None:
    prediction = interactive(
        client, region("mine2", 23, 27, "Effect"), region("mine1", 0, 7, "Drug")
    )

    relations = [r for r in prediction["result"] if r["type"] == "relation"]
    assert {r["id"] for r in prediction["result"] if "id" in r} == {"mine1", "mine2"}
    assert [(r["from_id"], r["to_id"], r["labels"]) for r in relations] == [
        ("mine1", "mine2", ["causes"])
    ]
    assert prediction["model_version"] == "tiny-1"


def test_drawn_regions_keep_the_control_they_were_drawn_with(client: FlaskClient) -> None:
    more = '<Labels name="more" toName="text"><Label value="Drug"/><Label value="Effect"/></Labels>'
    request = make_predict(SENTENCE, label_config=CONFIG_XML.replace("<Text", f"{more}<Text"))
    drawn = [region("a", 0, 7, "Drug") | {"from_name": "more"}, region("b", 23, 27, "Effect")]
    request["params"] = {"context": {"result": drawn}}

    [prediction] = client.post("/predict", json=request).json["results"]

    named = {one["id"]: one["from_name"] for one in prediction["result"] if "id" in one}
    assert named == {"a": "more", "b": "label"}


def test_a_relation_that_a_person_drew_is_not_contradicted(client: FlaskClient) -> None:
    drawn = {
        "type": "relation",
        "from_id": "mine1",
        "to_id": "mine2",
        "direction": "right",
        "labels": ["treats"],
    }

    prediction = interactive(
        client, region("mine1", 0, 7, "Drug"), region("mine2", 23, 27, "Effect"), drawn
    )

    relations = [r for r in prediction["result"] if r["type"] == "relation"]
    assert [r["labels"] for r in relations] == [["treats"]]


@pytest.mark.parametrize(
    "drawn",
    [[], [7], [{"id": "x", "type": "labels", "value": {"start": 900, "end": 5}}]],
    ids=["nothing", "no object", "outside"],
)
def test_without_a_usable_region_an_interactive_call_predicts_as_usual(
    client: FlaskClient, drawn: list[Any]
) -> None:
    assert interactive(client, *drawn) == predict(client, SENTENCE)[0]


def test_a_region_of_a_type_that_the_model_does_not_know_is_left_alone(
    client: FlaskClient,
) -> None:
    config = CONFIG_XML.replace('value="Effect"/>', 'value="Effect"/><Label value="Dose"/>')
    drawn = [region("mine1", 0, 7, "Drug"), region("mine2", 23, 27, "Dose")]
    request = make_predict(SENTENCE, label_config=config, params={"context": {"result": drawn}})

    [prediction] = client.post("/predict", json=request).json["results"]

    assert [r["id"] for r in prediction["result"]] == ["mine1", "mine2"]


def test_word_entities_keep_their_places_whatever_their_order(world: World) -> None:
    loaded = world.models.current()
    assert loaded is not None
    entities = [
        WordEntity(type="Effect", first=2, last=3),
        WordEntity(type="Drug", first=0, last=0),
    ]

    [relation] = loaded.predictor.predict_relations(SENTENCE.split(" "), entities)

    assert (relation.head, relation.tail) == (1, 0)
