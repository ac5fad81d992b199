from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from run_world import OWNER, claim, ingest, make_note
from sqlalchemy import update

from annotator.errors import NotFoundError
from annotator.jobs.training import execute_run
from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import IntakeRules
from annotator.services.models.snapshot import plan_run
from annotator.services.models.submit import Submission, recipe, submit_training
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.inbox import store_event
from annotator.store.projects import Project
from annotator.store.run_log import read_run_log
from annotator.store.runs import cancel_run, claim_run, get_run, note_settings
from annotator.store.versions import active_version
from db.tables import AnnotationRow, TrainingRunRow

EMPTYING = IntakeRules(replace=True, empty_is_gold=True)


def submit(database: Database, project: Project, settings: Settings, **options: Any) -> Submission:
    with database.write() as session:
        return submit_training(session, project.id, settings, trigger="test", **options)


@pytest.fixture
def done(database: Database, gold: Project, settings: Settings, trained: Any) -> Submission:
    """A run that was submitted and has ended."""
    asked = submit(database, gold, settings)
    with database.write() as session:
        claim_run(session, asked.run.id, owner=OWNER, lease_s=60)
    execute_run(settings, database, asked.run.id, owner=OWNER)
    return asked


def test_where_nothing_is_new_there_is_no_run_and_it_says_so(
    database: Database, gold: Project, settings: Settings, done: Submission
) -> None:
    asked = submit(database, gold, settings)

    with database.read() as session:
        active = active_version(session, gold.id)
    assert (asked.is_new, asked.run.id, asked.same_as) == (False, done.run.id, active.name)
    assert f"nothing new since run {done.run.id}" in str(asked.reason)
    assert "--again" in str(asked.reason)


@pytest.mark.parametrize("option", ["again", "force", "warm"])
def test_there_is_a_way_to_train_all_the_same(
    database: Database, gold: Project, settings: Settings, done: Submission, option: str
) -> None:
    asked = submit(database, gold, settings, **{option: True})

    assert (asked.is_new, asked.reason) == (True, None)


def add_label(database: Database, gold: Project) -> None:
    ingest(database, gold, 40, 41)


def change_label(database: Database, gold: Project) -> None:
    changed = replace(make_note(0), entities=(), relations=())
    ingest_documents(
        database, gold.id, [changed], role="gold", holdout_share=0.0, seed=1, rules=EMPTYING
    )


def delete_label(database: Database, _gold: Project) -> None:
    with database.write() as session:
        session.execute(update(AnnotationRow).where(AnnotationRow.id == 1).values(is_current=False))


def receive_event(database: Database, _gold: Project) -> None:
    with database.write() as session:
        store_event(
            session, action="ANNOTATION_CREATED", studio_project_id=1, dedupe_key="k", payload={}
        )


def fail_run(database: Database, _gold: Project) -> None:
    with database.write() as session:
        session.execute(update(TrainingRunRow).values(state="failed"))


@pytest.mark.parametrize("change", [add_label, change_label, delete_label, receive_event, fail_run])
def test_whatever_may_change_the_model_is_reason_enough(
    database: Database, gold: Project, settings: Settings, done: Submission, change: Any
) -> None:
    change(database, gold)

    assert submit(database, gold, settings).is_new


def test_another_setting_of_training_is_reason_enough_and_another_port_is_not(
    database: Database, gold: Project, settings: Settings, done: Submission
) -> None:
    other_port = settings.model_copy(update={"port": 1234})
    other_epochs = settings.model_copy(update={"epochs": settings.epochs + 1})

    assert not submit(database, gold, other_port).is_new
    assert submit(database, gold, other_epochs).is_new


def test_a_warm_start_needs_a_version_in_use(
    database: Database, gold: Project, settings: Settings
) -> None:
    with pytest.raises(NotFoundError, match="--warm-start"):
        submit(database, gold, settings, warm=True)


def n_steps(database: Database, run_id: int) -> int:
    with database.read() as session:
        [line] = [event for event in read_run_log(session, run_id) if event.kind == "train"]
    return int(line.detail["n_steps"])


def test_a_warm_run_starts_from_the_version_in_use_and_says_so(
    database: Database, gold: Project, settings: Settings, done: Submission, trained: Any
) -> None:
    with database.read() as session:
        first = active_version(session, gold.id)
    asked = submit(database, gold, settings, warm=True, force=True)
    with database.write() as session:
        claim_run(session, asked.run.id, owner=OWNER, lease_s=60)
    execute_run(settings, database, asked.run.id, owner=OWNER)

    with database.read() as session:
        run = get_run(session, asked.run.id)
        second = active_version(session, gold.id)
    assert run.settings["start_from"] == first.name
    assert second.sha256 != first.sha256
    card = (settings.models_folder / second.name / "README.md").read_text(encoding="utf-8")
    assert f"Started from `{first.name}`, its weights shrunk" in card
    assert n_steps(database, asked.run.id) < n_steps(database, done.run.id)


@pytest.fixture
def under_way(database: Database, gold: Project, settings: Settings) -> int:
    """A run that trains on all labels there are."""
    run = claim(database, gold)
    with database.write() as session:
        note_settings(session, run.id, {**recipe(settings), "start_from": None})
    plan_run(database, gold.id, run)
    return run.id


def test_who_asks_for_what_a_run_learns_already_waits_for_that_one(
    database: Database, gold: Project, settings: Settings, under_way: int
) -> None:
    asked = submit(database, gold, settings)

    assert (asked.run.id, asked.run.state, asked.is_new) == (under_way, "running", False)
    assert asked.reason is None


def test_a_run_that_has_not_taken_its_labels_yet_will_learn_them(
    database: Database, gold: Project, settings: Settings
) -> None:
    run = claim(database, gold)
    add_label(database, gold)

    assert submit(database, gold, settings).run.id == run.id


def cancel(database: Database, gold: Project) -> None:
    with database.write() as session:
        cancel_run(session, 1)


def change_setting(database: Database, _gold: Project) -> None:
    with database.write() as session:
        note_settings(session, 1, {"epochs": 99})


@pytest.mark.parametrize(
    "change", [add_label, change_label, delete_label, receive_event, cancel, change_setting]
)
def test_a_run_under_way_that_learns_something_else_is_followed_by_another(
    database: Database, gold: Project, settings: Settings, under_way: int, change: Any
) -> None:
    change(database, gold)

    assert submit(database, gold, settings).is_new


@pytest.mark.parametrize("option", ["again", "force"])
def test_a_run_may_be_asked_for_behind_the_same_one(
    database: Database, gold: Project, settings: Settings, under_way: int, option: str
) -> None:
    assert submit(database, gold, settings, **{option: True}).is_new
