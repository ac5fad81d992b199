"""The doctor finds what is broken, names it, and says what helps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from run_world import register
from sqlalchemy import update

from annotator.services.reports.doctor import BackendAnswer, Finding, ask_backend, examine_project
from annotator.services.sync.webhooks import receive_event
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.leases import take_lease
from annotator.store.projects import Project, get_project
from annotator.store.runs import claim_run, finish_run, submit_run
from annotator.store.versions import ModelVersion
from db.tables import WebhookEventRow

WELL = BackendAnswer(
    health={"status": "UP", "model_version": "v1", "loading": None, "error": None}, login_status=200
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, project="ward", backend_password="hunter2")


@pytest.fixture
def version(database: Database, project: Project, tiny_model: Path) -> ModelVersion:
    return register(database, project, tiny_model)


def reload(database: Database) -> Project:
    with database.read() as session:
        return get_project(session, "ward")


def here(
    settings: Settings, database: Database, answer: BackendAnswer = WELL
) -> Mapping[str, Finding]:
    found = examine_project(settings, database, reload(database), ask=lambda _settings: answer)
    return {finding.part: finding for finding in found}


def test_a_project_with_everything_in_place_is_well(
    settings: Settings, database: Database, project: Project, version: ModelVersion
) -> None:
    with database.write() as session:
        take_lease(session, "worker:1", owner="me", lease_s=60)

    found = here(settings, database)

    assert {finding.state for finding in found.values()} == {"good"}
    assert list(found) == ["database", "model", "worker", "training", "inbox", "backend"]


def test_files_that_others_may_read_are_told_with_what_takes_them_away(
    settings: Settings, database: Database, project: Project
) -> None:
    (settings.home / "queue.db").touch(mode=0o644)
    (settings.home / "models").mkdir(mode=0o700)
    settings.home.chmod(0o700)
    closed = here(settings, database)
    settings.home.chmod(0o755)

    found = here(settings, database)["files"]

    assert "files" not in closed
    assert found.message.endswith("queue.db")  # not models
    assert found.remedy == f"chmod -R go= {settings.home}"


def test_a_fresh_project_is_told_what_comes_first(
    settings: Settings, database: Database, project: Project
) -> None:
    found = here(settings, database)

    assert found["model"].remedy == "annotator retrain --wait trains one"
    assert found["worker"].remedy == "start annotator worker"


def test_the_first_model_in_training_is_waited_for(
    settings: Settings, database: Database, project: Project
) -> None:
    with database.write() as session:
        submit_run(session, project.id, trigger="command")
    empty = BackendAnswer(health={"status": "UP", "model_version": None}, login_status=200)

    found = here(settings, database, empty)

    assert found["model"].message == "there is none yet; run 1 is queued"
    assert found["backend"].message.endswith("waits for the first model")


def test_damaged_weights_are_bad(
    settings: Settings, database: Database, project: Project, version: ModelVersion
) -> None:
    from db.tables import ModelVersionRow

    with database.write() as session:
        session.execute(update(ModelVersionRow).values(sha256="0" * 64))

    found = here(settings, database)["model"]

    assert found.state == "bad"
    assert "restore" in found.message


def test_a_failed_run_is_told_with_its_reason(
    settings: Settings, database: Database, project: Project
) -> None:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner="me", lease_s=60)
        finish_run(session, run.id, owner="me", state="failed", error="there is no gold")

    found = here(settings, database)["training"]

    assert (found.state, "there is no gold" in found.message) == ("bad", True)


def test_events_that_wait_too_long_are_bad(
    settings: Settings, database: Database, project: Project
) -> None:
    with database.write() as session:
        receive_event(session, {"action": "PROJECT_UPDATED", "project": {"id": 1}})
    assert here(settings, database)["inbox"].state == "good"

    with database.write() as session:
        ago = datetime.now(UTC) - timedelta(hours=1)
        session.execute(update(WebhookEventRow).values(received_at=ago))

    found = here(settings, database)["inbox"]
    assert (found.state, found.message) == ("bad", "1 events wait, the oldest for 60 minutes")


@pytest.mark.parametrize(
    ("answer", "state", "says"),
    [
        (BackendAnswer(failure="no answer (ConnectionRefusedError)"), "bad", "no answer"),
        (BackendAnswer(health=WELL.health, login_status=401), "bad", "refuses this project's"),
        (
            BackendAnswer(
                health={"status": "UP", "model_version": "v0", "error": "broken"}, login_status=200
            ),
            "bad",
            "cannot use the active version; it answers with v0",
        ),
        (
            BackendAnswer(health={"status": "UP", "model_version": "v0"}, login_status=200),
            "warning",
            "answers with v0, the active one is v1",
        ),
    ],
    ids=["silent", "password", "broken model", "old model"],
)
def test_a_backend_that_ails_is_told(
    settings: Settings,
    database: Database,
    version: ModelVersion,
    answer: BackendAnswer,
    state: str,
    says: str,
) -> None:
    found = here(settings, database, answer)["backend"]

    assert (found.state, says in found.message) == (state, True)
    assert found.remedy


def test_a_backend_that_is_not_there_gives_no_answer(settings: Settings) -> None:
    silent = settings.model_copy(update={"backend_url": "http://127.0.0.1:9"})

    assert ask_backend(silent).failure == "no answer (ConnectionRefusedError)"
    assert ask_backend(silent.model_copy(update={"backend_url": "ftp://x"})).failure
