"""Whatever shape a request has, the answer is JSON and the fault is never ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from backend_world import BASIC, CONFIG_XML, open_world
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction

texts = st.one_of(
    st.text(max_size=40),
    st.text(alphabet=st.characters(), max_size=20),
    st.sampled_from(["aspirin induced severe rash .", "😀 pain\r\nafter aspirin.", "\ud800 rash"]),
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
integers = st.integers(min_value=-3, max_value=60)
regions = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "c"]) | values,
        "from_name": st.sampled_from(["label", "other"]),
        "to_name": st.just("text"),
        "type": st.sampled_from(["labels", "relation"]) | values,
        "from_id": st.sampled_from(["a", "b", "z"]),
        "to_id": st.sampled_from(["a", "b", "z"]),
        "direction": st.sampled_from(["right", "left", "bi", "up"]),
        "labels": st.lists(st.sampled_from(["causes", "treats", "odd"]), max_size=2),
        "value": st.fixed_dictionaries(
            {"start": integers, "end": integers},
            optional={"labels": st.lists(st.sampled_from(["Drug", "Effect", "Odd"]), max_size=2)},
        )
        | values,
    },
)
tasks = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers() | values,
        "data": st.fixed_dictionaries({}, optional={"text": texts | values, "sent_start": values})
        | values,
    },
)
predicts = st.fixed_dictionaries(
    {"tasks": st.lists(tasks, max_size=3) | values},
    optional={
        "label_config": st.sampled_from([CONFIG_XML, "<View/>", ""]) | values,
        "params": st.fixed_dictionaries(
            {"context": st.fixed_dictionaries({"result": st.lists(regions, max_size=4)}) | values}
        )
        | values,
    },
)
events = st.fixed_dictionaries(
    {"action": st.sampled_from(["ANNOTATION_CREATED", "TASKS_DELETED", "ODD"]) | values},
    optional={
        "project": st.fixed_dictionaries({"id": st.integers()}) | values,
        "annotation": values,
        "task": values,
        "tasks": values,
        "annotations": values,
    },
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlaskClient]:
    with open_world(tmp_path_factory.mktemp("shapes")) as world:
        client = world.client()
        client.environ_base["HTTP_AUTHORIZATION"] = BASIC["Authorization"]
        yield client


@settings(max_examples=80, deadline=None)
@given(body=predicts)
def test_a_strange_request_for_predictions_is_no_fault_of_ours(
    client: FlaskClient, body: Any
) -> None:
    answer = client.post("/predict", json=body)

    assert answer.status_code in (200, 400)
    assert answer.status_code == 400 or len(answer.json["results"]) == len(body["tasks"])


@settings(max_examples=60, deadline=None)
@given(text=texts, drawn=st.lists(regions, max_size=5))
def test_no_invalid_prediction_leaves_whatever_was_drawn(
    client: FlaskClient, text: str, drawn: list[Any]
) -> None:
    body = {
        "tasks": [{"id": 1, "data": {"text": text}}],
        "label_config": CONFIG_XML,
        "params": {"context": {"result": drawn}},
    }

    [prediction] = client.post("/predict", json=body).json["results"]

    assert validate_prediction(prediction, text=text, config=parse_config(CONFIG_XML)) == []


@settings(max_examples=80, deadline=None)
@given(body=events)
def test_a_strange_event_is_no_fault_of_ours(client: FlaskClient, body: Any) -> None:
    assert client.post("/webhook", json=body).status_code in (200, 201, 400)


@settings(max_examples=40, deadline=None)
@given(path=st.sampled_from(["/setup", "/predict", "/webhook", "/api/v1/runs"]), body=values)
def test_any_json_is_no_fault_of_ours(client: FlaskClient, path: str, body: Any) -> None:
    answer = client.post(path, data=json.dumps(body), content_type="application/json")

    assert answer.status_code in (200, 201, 202, 400)
    assert isinstance(answer.json, dict)


@settings(max_examples=40, deadline=None)
@given(path=st.sampled_from(["/setup", "/predict", "/webhook"]), body=st.binary(max_size=60))
def test_any_bytes_are_refused_and_no_fault_of_ours(
    client: FlaskClient, path: str, body: bytes
) -> None:
    answer = client.post(path, data=body, content_type="application/json")

    assert answer.status_code in (200, 400)
    assert isinstance(answer.json, dict)
