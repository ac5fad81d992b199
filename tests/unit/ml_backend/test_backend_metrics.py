"""``/metrics``: what Prometheus is told, and what it never is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backend_world import BASIC, BEARER, World, make_predict
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from annotator.store.runs import claim_run, heartbeat, submit_run
from db.tables import WebhookEventRow

EVENT = {"action": "PROJECT_UPDATED", "project": {"id": 1}}


def read(client: FlaskClient) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.get_data(as_text=True))
        for sample in family.samples
    }


def value(client: FlaskClient, name: str, **labels: str) -> float | None:
    return read(client).get((f"annotator_{name}", tuple(sorted(labels.items()))))


def test_metrics_ask_for_credentials(shared_client: FlaskClient) -> None:
    assert shared_client.get("/metrics").status_code == 401
    assert shared_client.get("/metrics", headers=BASIC).status_code == 200
    assert shared_client.get("/metrics", headers=BEARER).status_code == 200


def test_each_request_is_timed_under_its_endpoint_and_status(world: World) -> None:
    client = world.client()

    client.get("/health")
    client.get("/health")
    client.post("/setup", json={})

    count = "request_duration_seconds_count"
    assert value(client, count, endpoint="studio.health", method="GET", status="200") == 2
    assert value(client, count, endpoint="studio.setup", method="POST", status="401") == 1


def test_made_up_paths_and_methods_do_not_make_new_series(world: World) -> None:
    client = world.client()

    client.get("/nothing/here", headers=BASIC)
    client.open("/nothing/there", method="BREW", headers=BASIC)

    count = "request_duration_seconds_count"
    assert value(client, count, endpoint="unknown", method="other", status="404") == 2


def test_the_version_that_answers_is_named(client: FlaskClient) -> None:
    assert value(client, "model_info", version="tiny-1") == 1
    assert value(client, "model_failed") == 0


def test_before_the_first_model_no_version_is_named(bare_client: FlaskClient) -> None:
    assert not [key for key in read(bare_client) if key[0] == "annotator_model_info"]


def test_the_inbox_tells_how_long_events_wait(world: World, client: FlaskClient) -> None:
    assert value(client, "inbox_lag_seconds") == 0

    client.post("/webhook", json=EVENT)
    with world.database.write() as session:
        ago = datetime.now(UTC) - timedelta(minutes=5)
        session.execute(update(WebhookEventRow).values(received_at=ago))

    assert value(client, "inbox_events", state="new") == 1
    assert value(client, "inbox_lag_seconds") == pytest.approx(300, abs=30)


def test_every_metric_is_on_its_page(world: World, client: FlaskClient) -> None:
    with world.database.write() as session:
        run, _ = submit_run(session, world.project_id, trigger="test")
        claim_run(session, run.id, owner="me", lease_s=60)
        keys = ("step", "n_steps", "loss", "words_per_s", "remaining_s")
        heartbeat(session, run.id, owner="me", lease_s=60, progress=dict.fromkeys(keys, 1))
    page = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()

    told = client.get("/metrics").get_data(as_text=True)

    names = {family.name for family in text_string_to_metric_families(told)}
    assert names == set(re.findall(r"^\| `(annotator_\w+)`(?:, `(?:\w+)`)?", page, re.M)) | {
        "annotator_run_steps"
    }


def test_a_run_under_way_tells_its_progress(world: World, client: FlaskClient) -> None:
    with world.database.write() as session:
        run, _ = submit_run(session, world.project_id, trigger="test")
    assert value(client, "runs_queued") == 1

    progress: dict[str, Any] = {"step": 30, "n_steps": 120, "loss": 0.5, "words_per_s": 900}
    with world.database.write() as session:
        claim_run(session, run.id, owner="me", lease_s=60)
        heartbeat(session, run.id, owner="me", lease_s=60, progress=progress)

    found = read(client)
    assert found["annotator_run_state", (("state", "running"),)] == 1
    assert found["annotator_run_state", (("state", "queued"),)] == 0
    assert found["annotator_run_number", ()] == run.id
    assert found["annotator_run_steps_done", ()] == 30
    assert found["annotator_run_steps", ()] == 120
    assert found["annotator_run_loss", ()] == 0.5
    assert found["annotator_run_words_per_second", ()] == 900


def test_without_a_database_the_rest_is_still_told(world: World, client: FlaskClient) -> None:
    assert value(client, "database_up") == 1

    world.database.close()
    (world.settings.home / "annotator.db").rename(world.settings.home / "away.db")
    (world.settings.home / "annotator.db").mkdir()

    found = read(client)
    assert found["annotator_database_up", ()] == 0
    assert found["annotator_model_info", (("version", "tiny-1"),)] == 1
    assert not [name for name, _ in found if name.startswith("annotator_inbox")]


def test_no_text_is_in_the_numbers(client: FlaskClient) -> None:
    client.post("/predict", json=make_predict("Zebrafinol caused rash ."))
    client.post("/webhook", json={**EVENT, "annotation": {"id": 1, "text": "Zebrafinol"}})

    assert "Zebrafinol" not in client.get("/metrics").get_data(as_text=True)
