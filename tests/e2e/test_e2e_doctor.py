"""The doctor at a real Label Studio: well when all is well, and right when something is broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from loop_world import Loop, wait_for

from annotator.studio.connection import webhooks_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def findings(loop: Loop, *arguments: object) -> tuple[int, dict[str, dict[str, str]]]:
    done = loop.run("doctor", *arguments, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["ok"] is (done.returncode == 0)
    return done.returncode, {one["part"]: one for one in found["findings"]}


def connect_again(loop: Loop) -> Any:
    return loop.command(
        *("connect", loop.studio.url, "--token", loop.studio.token),
        *("--project", loop.number, "--backend-url", loop.url),
    )


@pytest.fixture
def broken_webhook(loop: Loop) -> Iterator[int]:
    """The webhook as Label Studio makes it by itself: without credentials."""
    with loop.client() as client:
        (hook,) = webhooks_of(client.webhooks(loop.number), loop.url)
        actions = {"actions": hook["actions"], "send_for_all_actions": False}
        client._api.call_object(
            *("PATCH", f"api/webhooks/{hook['id']}/"),
            attempt="break the webhook",
            body={"headers": {}, **actions},
        )
    yield hook["id"]
    connect_again(loop)


def is_well(loop: Loop) -> bool:
    return findings(loop)[0] == 0


def test_a_project_that_was_set_up_as_told_is_well(loop: Loop) -> None:
    wait_for(lambda: is_well(loop), "a project that is well")

    _, found = findings(loop)

    assert {one["state"] for one in found.values()} == {"good"}
    assert found["events"]["message"] == "one was sent and has arrived"


def test_connecting_again_changes_nothing(loop: Loop) -> None:
    with loop.client() as client:
        before = [client.project(loop.number), client.webhooks(loop.number)]

    connect_again(loop)

    with loop.client() as client:
        after = [client.project(loop.number), client.webhooks(loop.number)]
        assert len(client.backends(loop.number)) == 1
    assert [after[0].model_version, after[0].sampling] == [
        before[0].model_version,
        before[0].sampling,
    ]
    assert [hook["id"] for hook in after[1]] == [hook["id"] for hook in before[1]]
    assert findings(loop)[0] == 0


def test_a_webhook_without_credentials_is_found_and_mended(loop: Loop, broken_webhook: int) -> None:
    status, found = findings(loop)

    assert status == 1
    assert "credentials are missing" in found["webhook"]["message"]
    assert found["events"]["state"] == "bad"

    connect_again(loop)
    assert findings(loop)[0] == 0


def test_a_task_is_explained_by_what_is_stored_and_a_fresh_prediction(loop: Loop) -> None:
    with loop.client() as client:
        task = next(client.tasks(loop.number))

    done = loop.run("doctor", "--task", task["id"], "--json")

    found = json.loads(done.stdout)["findings"]
    assert [one for one in found if one["state"] == "bad"] == []
    assert "that is what Label Studio has stored" in [one["message"] for one in found]
    assert task["data"]["text"] not in done.stdout
