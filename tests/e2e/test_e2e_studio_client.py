"""The client and the server against a real Label Studio."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from recording_backend import Backend

from annotator.domain import Entity, LabelSchema, Relation
from annotator.errors import StudioError
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import build_config, parse_config
from annotator.studio.server import LABEL_STUDIO_VERSION, RunningStudio, StudioServer
from annotator.studio.validation import clean_prediction

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    # The SDK refreshes personal tokens by a deprecated method of pydantic.
    pytest.mark.filterwarnings("ignore:The `parse_obj` method is deprecated"),
]

SCHEMA = LabelSchema(entity_types=("Drug", "Dose"), relation_types=("has-dose",))


@pytest.fixture(scope="module")
def client(studio: RunningStudio) -> Iterator[StudioClient]:
    with StudioClient(studio.url, studio.token) as client:
        yield client


@pytest.fixture
def project(client: StudioClient) -> Iterator[StudioProject]:
    project = client.create_project("Client test", build_config(SCHEMA, unit="document"))
    yield project
    client.delete_project(project.id)


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.server.shutdown()
    backend.server.server_close()


def prediction(task: int, score: float, version: str, label: str = "Drug") -> dict[str, Any]:
    region = {"id": "e1", "from_name": "label", "to_name": "text", "type": "labels"}
    value = {"start": 0, "end": 7, "labels": [label]}
    return {
        "task": task,
        "score": score,
        "model_version": version,
        "result": [{**region, "value": value}],
    }


def test_the_server_is_the_pinned_release_and_the_token_is_its_users(
    studio: RunningStudio, client: StudioClient
) -> None:
    assert client.version() == LABEL_STUDIO_VERSION
    assert client.whoami()["email"] == studio.username


@pytest.mark.usefixtures("studio")
def test_a_second_start_adopts_the_running_server(studio_server: StudioServer) -> None:
    running = studio_server.running()
    again = StudioServer(studio_server.folder, port=0, venv=studio_server.venv)

    assert running is not None
    assert again.start() == running
    assert again.running() == running


def test_a_taken_port_is_refused_by_name(
    studio: RunningStudio, studio_server: StudioServer, tmp_path: Path
) -> None:
    port = int(studio.url.rpartition(":")[2])

    with pytest.raises(StudioError, match=f"port {port} on 127.0.0.1 is taken"):
        StudioServer(tmp_path, port=port, venv=studio_server.venv).start()


def test_credentials_and_log_are_for_their_owner_only(
    studio: RunningStudio, studio_server: StudioServer
) -> None:
    paths = (
        studio_server.folder / "credentials.json",
        studio.log,
        studio_server.folder / "server.json",
    )

    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600] * 3


def test_the_password_is_not_on_the_command_line(studio: RunningStudio) -> None:
    command = Path(f"/proc/{studio.pid}/cmdline")

    assert not command.exists() or studio.password.encode() not in command.read_bytes()


def test_a_personal_access_token_is_accepted(studio: RunningStudio, personal: str) -> None:
    with StudioClient(studio.url, personal) as client:
        assert client.whoami()["email"] == studio.username


def test_an_access_token_that_ended_early_is_renewed(studio: RunningStudio, personal: str) -> None:
    with StudioClient(studio.url, personal) as client:
        client.whoami()
        tokens = client._api._requests.base_headers.__self__._tokens_client
        header, claims, _ = tokens._access_token.split(".")
        tokens._access_token = f"{header}.{claims}.{'A' * 43}"

        assert client.whoami()["email"] == studio.username


def test_a_wrong_token_is_refused_without_being_repeated(studio: RunningStudio) -> None:
    with (
        StudioClient(studio.url, "f" * 40) as client,
        pytest.raises(StudioError, match="HTTP 401; the token was refused") as caught,
    ):
        client.whoami()

    assert "f" * 40 not in str(caught.value)


def test_a_project_reads_back_as_created(client: StudioClient, project: StudioProject) -> None:
    found = client.project(project.id)

    assert parse_config(found.config_xml).schema == SCHEMA
    assert re.fullmatch(rf"{project.id}\.\d{{10}}", found.key)
    assert found.key == project.key
    assert found.task_number == 0


def test_a_missing_project_is_named(client: StudioClient) -> None:
    with pytest.raises(StudioError, match=r"could not read project 987654 .*HTTP 404"):
        client.project(987654)


def test_a_refused_configuration_says_which_field(client: StudioClient) -> None:
    with pytest.raises(StudioError, match=r"HTTP 400; .*label_config"):
        client.create_project("broken", "<View><Labels name='a' toName='b'/></View>")


def test_imported_tasks_come_back_in_order_over_several_pages(
    client: StudioClient, project: StudioProject
) -> None:
    data = [{"text": f"aspirin {number}"} for number in range(7)]

    ids = client.import_tasks(project.id, data)
    tasks = list(client.tasks(project.id, page_size=3))

    assert [task["id"] for task in tasks] == ids
    assert [task["data"] for task in tasks] == data
    assert client.task_ids(project.id) == set(ids)


def test_only_changed_tasks_are_pulled(client: StudioClient, project: StudioProject) -> None:
    ids = client.import_tasks(project.id, [{"text": "aspirin 1"}, {"text": "aspirin 2"}])
    latest = max(task["updated_at"] for task in client.tasks(project.id))
    moment = datetime.fromisoformat(latest).astimezone(UTC)

    client.create_annotation(ids[1], {"result": prediction(ids[1], 0.5, "v")["result"]})
    changed = list(client.tasks(project.id, updated_after=moment))

    assert [task["id"] for task in changed] == [ids[1]]
    assert changed[0]["annotations"][0]["result"][0]["value"]["labels"] == ["Drug"]
    assert list(client.tasks(project.id, updated_after=moment + timedelta(hours=1))) == []


def test_ids_and_times_of_change_come_without_the_tasks(
    client: StudioClient, project: StudioProject
) -> None:
    ids = client.import_tasks(project.id, [{"text": f"aspirin {i}"} for i in range(5)])
    tasks = {task["id"]: task["updated_at"] for task in client.tasks(project.id)}

    (page,) = client.changes(project.id)

    assert page == [(i, datetime.fromisoformat(tasks[i])) for i in ids]
    later = max(at for _, at in page) + timedelta(hours=1)
    assert list(client.changes(project.id, updated_after=later)) == []


def test_tasks_that_are_named_come_whole_by_page_or_alone(
    client: StudioClient, project: StudioProject
) -> None:
    ids = client.import_tasks(project.id, [{"text": f"aspirin {i}"} for i in range(8)])
    whole = {task["id"]: task for task in client.tasks(project.id)}

    near = list(client.tasks_of(project.id, ids[2:5]))
    far = list(client.tasks_of(project.id, [ids[0], ids[7], ids[7] + 1000]))

    assert near == [whole[i] for i in ids[2:5]]
    assert [task["id"] for task in far] == [ids[0], ids[7]]
    assert all(task["annotations"] == task["predictions"] == [] for task in far)


def test_a_selected_version_serves_its_lowest_score_first(
    client: StudioClient, project: StudioProject
) -> None:
    ids = client.import_tasks(project.id, [{"text": f"aspirin {n}"} for n in range(3)])
    items = [prediction(one, score, "v-1") for one, score in zip(ids, (0.9, 0.1, 0.5), strict=True)]

    assert client.push_predictions(project.id, items) == 3
    client.update_project(project.id, sampling="Uncertainty sampling")
    selected = client.select_version(project.id, "v-1")
    task = client.next_task(project.id)

    assert (selected.model_version, selected.sampling) == ("v-1", "Uncertainty sampling")
    assert task is not None
    assert task["id"] == ids[1]
    assert [one["score"] for one in client.predictions(ids[1])] == [0.1]


def test_a_push_reports_fewer_than_sent_when_one_is_invalid(
    client: StudioClient, project: StudioProject
) -> None:
    ids = client.import_tasks(project.id, [{"text": "aspirin 1"}, {"text": "aspirin 2"}])
    items = [prediction(ids[0], 0.5, "v"), prediction(ids[1], 0.5, "v", label="Nope")]

    assert client.push_predictions(project.id, items) == 1


def test_what_the_codec_writes_is_taken_whole_and_comes_back_the_same(
    client: StudioClient, project: StudioProject
) -> None:
    text = "Took 😀 aspirin\r\n500 mg."
    entities = (
        Entity(id="e1", type="Drug", start=7, end=14, score=0.9),
        Entity(id="e1:2", type="Dose", start=7, end=14, score=0.9),
        Entity(id="e2", type="Dose", start=16, end=22, score=0.25),
    )
    relations = (
        Relation(type="has-dose", head="e1", tail="e2", score=0.5),
        Relation(type="has-dose", head="e2", tail="e1", bidirectional=True),
        Relation(type=None, head="e2", tail="e1"),
    )
    config = parse_config(project.config_xml)
    [task_id] = client.import_tasks(project.id, [{"text": text}])
    result = labels_to_result(entities, relations, text=text, config=config)
    item = {"task": task_id, "score": 0.5, "model_version": "v", "result": result}

    assert client.push_predictions(project.id, [item]) == 1
    [stored] = client.predictions(task_id)

    labels = result_to_labels(stored["result"], text=text, config=config)
    assert (labels.entities, labels.relations, labels.issues) == (entities, relations, ())
    assert clean_prediction(stored, text=text, config=config).dropped == ()


def test_a_push_to_a_deleted_task_says_so_without_text(
    client: StudioClient, project: StudioProject
) -> None:
    with pytest.raises(StudioError, match="not in this project any more") as caught:
        client.push_predictions(project.id, [prediction(987654, 0.5, "v")])

    assert "Drug" not in str(caught.value)


def test_nothing_left_to_label_is_none(client: StudioClient, project: StudioProject) -> None:
    assert client.next_task(project.id) is None
    assert client.task(987654) is None


def test_a_version_without_predictions_is_refused(
    client: StudioClient, project: StudioProject
) -> None:
    with pytest.raises(StudioError, match="model_version"):
        client.select_version(project.id, "nobody")


def test_connecting_twice_leaves_one_backend_and_one_repaired_webhook(
    client: StudioClient, project: StudioProject, backend: Backend
) -> None:
    connection = {"url": backend.url, "user": "ml", "password": "geheim", "title": "annotator"}
    first = client.connect_backend(project.id, **connection)
    second = client.connect_backend(project.id, **{**connection, "url": f"{backend.url}/"})
    repair = {"backend_url": backend.url, "user": "ml", "password": "geheim"}
    webhooks = [client.repair_webhook(project.id, **repair) for _ in range(2)]

    stored = client.webhooks(project.id)

    assert first == second
    assert webhooks[0] == webhooks[1]
    assert [one["id"] for one in stored] == [webhooks[0]]
    assert stored[0]["headers"] == {"Authorization": "Basic bWw6Z2VoZWlt"}
    assert stored[0]["send_for_all_actions"] is False
    assert "ANNOTATIONS_DELETED" in stored[0]["actions"]
    assert len(client.backends(project.id)) == 1


def test_an_event_arrives_with_credentials_and_setup_carries_the_projects_key(
    client: StudioClient, project: StudioProject, backend: Backend
) -> None:
    client.connect_backend(
        project.id, url=backend.url, user="ml", password="geheim", title="annotator"
    )
    client.repair_webhook(project.id, backend_url=backend.url, user="ml", password="geheim")

    client.import_tasks(project.id, [{"text": "aspirin"}])

    events = [(auth, body) for path, auth, body in backend.seen if path == "/webhook"]
    assert events[-1][1]["action"] == "TASKS_CREATED"
    assert events[-1][0] == "Basic bWw6Z2VoZWlt"
    assert {body["project"] for path, _, body in backend.seen if path == "/setup"} == {project.key}


def test_disconnecting_removes_the_webhook_too(
    client: StudioClient, project: StudioProject, backend: Backend
) -> None:
    client.connect_backend(
        project.id, url=backend.url, user="ml", password="geheim", title="annotator"
    )

    assert client.disconnect_backend(project.id, backend.url) is True
    assert (client.backends(project.id), client.webhooks(project.id)) == ([], [])
    assert client.disconnect_backend(project.id, backend.url) is False


def test_a_backend_that_does_not_run_is_explained(
    client: StudioClient, project: StudioProject
) -> None:
    with pytest.raises(StudioError, match="cannot reach the backend") as caught:
        client.connect_backend(
            project.id, url="http://127.0.0.1:9", user="ml", password="geheim", title="annotator"
        )

    assert "geheim" not in str(caught.value)


def test_the_client_goes_on_after_a_restart_with_the_same_address_and_tokens(
    studio_server: StudioServer, studio: RunningStudio, personal: str
) -> None:
    with (
        StudioClient(studio.url, studio.token) as legacy,
        StudioClient(studio.url, personal) as by_person,
    ):
        legacy.whoami()
        by_person.whoami()

        assert studio_server.stop() is True
        assert studio_server.running() is None
        with pytest.raises(StudioError, match="no connection"):
            legacy.whoami()
        restarted = studio_server.start()

        assert restarted.url == studio.url
        assert legacy.whoami() == by_person.whoami()
