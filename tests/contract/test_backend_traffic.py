"""What Label Studio 1.23.2 really sent, played to the backend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_world import BASIC, World, open_world
from flask.testing import FlaskClient

from annotator.store.inbox import new_events
from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction

RECORDED = json.loads(
    (Path(__file__).parent / "recorded" / "backend_requests.json").read_text(encoding="utf-8")
)
EVENTS = [
    r for r in RECORDED if r["path"] == "/webhook" and r["body"]["action"] != "START_TRAINING"
]
PREDICTIONS = [r for r in RECORDED if r["path"] == "/predict"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("traffic")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(world: World) -> FlaskClient:
    client = world.client()
    client.environ_base["HTTP_AUTHORIZATION"] = BASIC["Authorization"]
    return client


def play(client: FlaskClient, recorded: dict[str, Any]) -> Any:
    body = recorded["body"] or None
    return client.open(
        recorded["path"],
        method=recorded["method"],
        json=body,
        headers={"User-Agent": recorded["user_agent"]},
    )


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda r: f"{r['name']}{r['path']}")
def test_every_recorded_call_is_answered_well(client: FlaskClient, recorded: Any) -> None:
    answer = play(client, recorded)

    assert answer.status_code in (200, 201), answer.json
    assert isinstance(answer.json, dict)


@pytest.mark.parametrize("recorded", PREDICTIONS, ids=lambda r: r["name"])
def test_recorded_tasks_get_one_valid_prediction_each(client: FlaskClient, recorded: Any) -> None:
    body = recorded["body"]
    config = parse_config(body["label_config"])

    results = play(client, recorded).json["results"]

    problems = [
        problem
        for task, prediction in zip(body["tasks"], results, strict=True)
        for problem in validate_prediction(prediction, text=task["data"]["text"], config=config)
    ]
    assert problems == []
    assert {prediction["model_version"] for prediction in results} == {"tiny-1"}
    assert all(0 <= prediction["score"] <= 1 for prediction in results)


@pytest.mark.parametrize("recorded", EVENTS, ids=lambda r: r["name"])
def test_a_recorded_event_is_kept_whole_but_for_the_secrets(
    client: FlaskClient, world: World, recorded: Any
) -> None:
    play(client, recorded)

    with world.database.read() as session:
        payloads = [e.payload for e in new_events(session, limit=1000)]
    sent = {key: value for key, value in recorded["body"].items() if key != "project"}
    kept = [p for p in payloads if {k: v for k, v in p.items() if k != "project"} == sent]
    assert kept
    assert not {"token", "task_data_login", "task_data_password"} & kept[0]["project"].keys()


# Their objects carry no time, so a second one may be news; it is worked off without harm.
WITHOUT_TIME = {"PROJECT_UPDATED", "TASKS_DELETED", "ANNOTATIONS_DELETED"}


@pytest.mark.parametrize(
    "recorded",
    [e for e in EVENTS if e["body"]["action"] not in WITHOUT_TIME],
    ids=lambda r: r["name"],
)
def test_a_recorded_event_counts_once(client: FlaskClient, recorded: Any) -> None:
    play(client, recorded)

    assert play(client, recorded).json == {"status": "ok", "new": False}
