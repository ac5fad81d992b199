from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from backend_world import BASIC, BEARER, CONFIG_XML, PASSWORD, SpyQueue, World
from factories import STUDIO_PROJECT
from flask.testing import FlaskClient

from annotator.errors import ConfigError
from annotator.store.inbox import count_events, new_events
from annotator.store.projects import StudioLink, link_studio
from annotator.store.runs import list_runs
from annotator.store.versions import active_version
from ml_backend.context import Waker

EVENT: dict[str, Any] = {
    "action": "ANNOTATION_CREATED",
    "annotation": {"id": 7, "updated_at": "2026-11-22T07:45:42.795Z", "task": 3, "result": []},
    "task": {"id": 3, "data": {"text": "aspirin"}, "updated_at": "2026-11-22T07:45:42.795Z"},
    "project": {
        "id": 1,
        "title": "demo",
        "label_config": CONFIG_XML,
        "token": "invite-secret",
        "task_data_login": "login-secret",
        "task_data_password": "password-secret",
    },
}


def basic(user: str, password: str, *, encoding: str = "utf-8") -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode(encoding)).decode()
    return {"Authorization": f"Basic {pair}"}


def stored_payloads(world: World) -> list[Any]:
    with world.database.read() as session:
        return [event.payload for event in new_events(session, limit=100)]


def test_health_tells_strangers_that_it_is_up_and_no_more(world: World) -> None:
    answer = world.client().get("/health")

    assert (answer.status_code, answer.json) == (200, {"status": "UP"})


def test_health_tells_those_with_credentials_what_the_model_does(client: FlaskClient) -> None:
    assert client.get("/health").json == {
        "status": "UP",
        "model_version": "tiny-1",
        "loading": None,
        "error": None,
    }


def test_health_refuses_wrong_credentials(world: World) -> None:
    answer = world.client().get("/health", headers=basic("annotator", "a guess"))

    assert answer.status_code == 401


def test_health_without_a_model_is_still_up(bare_client: FlaskClient) -> None:
    answer = bare_client.get("/health")

    assert answer.status_code == 200
    assert answer.json["model_version"] is None


def test_setup_tells_the_version_that_predict_uses(client: FlaskClient) -> None:
    setup = client.post("/setup", json={"project": "1.17", "schema": CONFIG_XML})
    predict = client.post(
        "/predict",
        json={"tasks": [{"id": 1, "data": {"text": "rash"}}], "label_config": CONFIG_XML},
    )

    assert setup.json == {"model_version": "tiny-1"}
    assert predict.json["results"][0]["model_version"] == "tiny-1"


def test_setup_keeps_and_logs_no_token(
    client: FlaskClient, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = client.post(
        "/setup",
        json={"project": "1.17", "schema": "<View/>", "access_token": "token-secret"},
    )

    stored = [path.read_bytes() for path in world.settings.home.glob("*.db*")]
    assert answer.status_code == 200
    assert "token-secret" not in "".join(capsys.readouterr())
    assert b"token-secret" not in b"".join(stored)


@pytest.mark.parametrize(
    "body", [{"schema": 7}, {"project": ["1"]}, {"hostname": {}}], ids=["schema", "project", "host"]
)
def test_setup_refuses_wrong_types(client: FlaskClient, body: dict[str, Any]) -> None:
    answer = client.post("/setup", json=body)

    assert answer.status_code == 400
    assert answer.json["errors"][0]["place"] == next(iter(body))


def test_versions_are_listed_newest_first(client: FlaskClient, world: World) -> None:
    world.register("tiny-2")

    assert client.get("/versions").json == {"versions": ["tiny-2", "tiny-1"]}


def test_an_event_is_stored_and_the_worker_is_woken(client: FlaskClient, world: World) -> None:
    answer = client.post("/webhook", json=EVENT)

    assert answer.status_code == 201
    assert stored_payloads(world)[0]["annotation"] == EVENT["annotation"]
    assert world.queue.tended == [0.0]


def test_a_repeated_event_is_stored_once(client: FlaskClient, world: World) -> None:
    answers = [client.post("/webhook", json=EVENT).status_code for _ in range(3)]

    assert answers == [201, 200, 200]
    assert len(stored_payloads(world)) == 1


def test_secrets_in_an_event_are_not_stored(client: FlaskClient, world: World) -> None:
    client.post("/webhook", json=EVENT)

    assert "secret" not in json.dumps(stored_payloads(world))


def test_an_unknown_action_is_stored_and_accepted(client: FlaskClient, world: World) -> None:
    answer = client.post("/webhook", json={"action": "MOON_ROSE", "project": STUDIO_PROJECT})

    assert answer.status_code == 201
    assert len(stored_payloads(world)) == 1


def test_a_dead_queue_does_not_lose_an_event(client: FlaskClient, world: World) -> None:
    world.queue.broken = True

    answer = client.post("/webhook", json=EVENT)

    assert answer.status_code == 201
    assert len(stored_payloads(world)) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": ""},
        {"action": 7},
        {"action": "A\ud800"},
        {"action": "A", "project": 5},
        {"action": "A", "project": {"id": 2**70}},
    ],
    ids=["none", "empty", "number", "surrogate", "project", "huge id"],
)
def test_what_is_no_event_is_refused(client: FlaskClient, world: World, body: Any) -> None:
    answer = client.post("/webhook", json=body)

    assert answer.status_code == 400
    assert stored_payloads(world) == []


def test_start_training_queues_a_run_and_names_it(client: FlaskClient, world: World) -> None:
    with world.database.read() as session:
        before = {run.id for run in list_runs(session, world.project_id)}

    answer = client.post("/webhook", json={"action": "START_TRAINING", "project": STUDIO_PROJECT})

    with world.database.read() as session:
        runs = list_runs(session, world.project_id, states=("queued",))
    assert answer.status_code == 201
    assert answer.json == {"status": "ok", "job": str(runs[0].id)}
    assert world.queue.submitted == [runs[0].id]
    assert before


def test_start_training_with_a_dead_queue_still_stores_the_run(
    bare_client: FlaskClient, bare_world: World
) -> None:
    bare_world.queue.broken = True

    answer = bare_client.post("/webhook", json={"action": "START_TRAINING"})

    with bare_world.database.read() as session:
        [run] = list_runs(session, bare_world.project_id)
    assert answer.status_code == 201
    assert (run.state, run.trigger) == ("queued", "studio")


@pytest.mark.parametrize(
    "project", [{"id": 2}, {"id": 1, "created_at": "2020-01-01T00:00:00.000000Z"}], ids=repr
)
def test_start_training_of_another_project_trains_nothing(
    bare_client: FlaskClient, bare_world: World, project: dict[str, Any]
) -> None:
    link = StudioLink(host="http://studio", key="1.17", project_id=1)
    with bare_world.database.write() as session:
        link_studio(session, bare_world.project_id, link)

    answer = bare_client.post("/webhook", json={"action": "START_TRAINING", "project": project})

    assert (answer.status_code, answer.json) == (200, {"status": "ignored"})
    assert bare_world.queue.submitted == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/setup"),
        ("POST", "/predict"),
        ("POST", "/webhook"),
        ("GET", "/versions"),
        ("GET", "/"),
        ("GET", "/static/app.js"),
        ("GET", "/api/v1/status"),
        ("POST", "/api/v1/runs"),
        ("GET", "/nowhere"),
        ("POST", "/health"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("annotator", "wrong"),
        basic("somebody", PASSWORD),
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer \xe4"},
        basic("annotator", "pässwort"),
    ],
    ids=["none", "password", "user", "no base64", "empty", "token", "latin", "umlaut"],
)
def test_without_the_right_credentials_nothing_is_served(
    shared_client: FlaskClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = shared_client.open(path, method=method, headers=headers, json={})

    assert answer.status_code == 401
    assert answer.json["code"] == "unauthorized"
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="annotator"')


def test_a_bearer_token_opens_the_api_and_the_page(shared_client: FlaskClient) -> None:
    statuses = [
        shared_client.get(path, headers=BEARER).status_code
        for path in ("/api/v1/status", "/", "/static/app.css")
    ]

    assert statuses == [200, 200, 200]


def test_a_bearer_token_is_not_for_label_studio(shared_client: FlaskClient) -> None:
    assert shared_client.get("/versions", headers=BEARER).status_code == 401


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_with_an_umlaut_works_in_either_encoding(
    shared_world: World, encoding: str
) -> None:
    client = shared_world.client(backend_password=_secret("pässwort"))

    answer = client.get("/versions", headers=basic("annotator", "pässwort", encoding=encoding))

    assert answer.status_code == 200


def test_an_empty_token_opens_nothing(shared_world: World) -> None:
    client = shared_world.client(api_token=_secret(""))

    assert client.get("/api/v1/status", headers={"Authorization": "Bearer "}).status_code == 401


def test_a_backend_without_a_password_does_not_start(shared_world: World) -> None:
    with pytest.raises(ConfigError, match="annotator init"):
        shared_world.client(backend_password=_secret(""))


def _secret(value: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(value)


def test_status_tells_the_project_and_the_resident_model(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/api/v1/status", headers=BASIC).json

    assert answer["ok"] is True
    assert answer["project"] == "default"
    assert answer["active_version"]["name"] == "tiny-1"
    assert answer["backend"] == {"version": "tiny-1", "loading": None, "error": None}
    assert answer["accepted_share"] == {"entities": None, "relations": None}


def test_a_run_can_be_started_and_read(client: FlaskClient, world: World) -> None:
    with world.database.write() as session:
        version = active_version(session, world.project_id)

    started = client.post("/api/v1/runs", json={"force": False})
    run_id = started.json["run"]["id"]

    assert version is not None
    assert started.status_code == 202
    assert world.queue.submitted == [run_id]
    assert client.get(f"/api/v1/runs/{run_id}").json["run"]["state"] == "queued"
    assert client.get("/api/v1/runs?limit=1").json["runs"][0]["id"] == run_id


@pytest.mark.parametrize("body", [{"force": "yes"}, {"speed": 3}], ids=["type", "unknown key"])
def test_a_wrong_wish_for_a_run_is_refused(shared_client: FlaskClient, body: Any) -> None:
    answer = shared_client.post("/api/v1/runs", json=body, headers=BASIC)

    assert answer.status_code == 400
    assert answer.json["code"] == "bad_request"


def test_versions_come_with_their_scores(shared_client: FlaskClient) -> None:
    [version] = shared_client.get("/api/v1/versions", headers=BASIC).json["versions"]

    assert version["metrics"]["holdout"]["ner"]["micro"]["f1"] == 84.7


def test_the_queue_of_a_project_without_pushes_is_empty(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/api/v1/queue?limit=5", headers=BASIC).json

    assert answer == {"ok": True, "version": "tiny-1", "queue": []}


@pytest.mark.parametrize("limit", ["0", "-1", "x", "", "99999999999", "1.5", "\u0663"])
def test_a_limit_out_of_range_is_refused(shared_client: FlaskClient, limit: str) -> None:
    answer = shared_client.get("/api/v1/queue", query_string={"limit": limit}, headers=BASIC)

    assert answer.status_code == 400
    assert "limit" in answer.json["error"]


@pytest.mark.parametrize("path", ["/api/v1/runs/999", "/api/v1/runs/99999999999999999999999"])
def test_an_unknown_run_is_not_found(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.get(path, headers=BASIC)

    assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_a_burst_of_events_wakes_the_worker_now_and_once_more_after_it() -> None:
    queue, now = SpyQueue(), [100.0]
    waker = Waker(queue, clock=lambda: now[0])  # type: ignore[arg-type]

    [waker.wake() for _ in range(50)]

    assert queue.tended == [0.0, 1.0]


def test_events_that_come_slowly_wake_the_worker_each_time() -> None:
    queue, now = SpyQueue(), [100.0]
    waker = Waker(queue, clock=lambda: now[0])  # type: ignore[arg-type]

    waker.wake()
    now[0] = 105.0
    waker.wake()

    assert queue.tended == [0.0, 0.0]


def test_the_counts_of_the_inbox_follow_the_events(client: FlaskClient, world: World) -> None:
    client.post("/webhook", json=EVENT)

    with world.database.read() as session:
        counts = count_events(session)
    assert counts["new"] == client.get("/api/v1/status").json["inbox"]["new"] == 1
