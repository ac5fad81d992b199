"""What ``annotator status`` and ``annotator runs`` say of new labels and of runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from factories import make_document
from tiny_bert import TINY_SCHEMA

from annotator.cli.runs import _line
from annotator.cli.status import _lines
from annotator.services.intake.documents import ingest_documents
from annotator.services.reports.status import project_status
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project
from annotator.store.runs import (
    cancel_run,
    claim_run,
    finish_run,
    get_run,
    set_snapshot,
    submit_run,
)
from annotator.store.snapshots import take_snapshot
from annotator.store.versions import add_version

OWNER = "host:1/x"
Act = Callable[[Database, Project], None]


def nothing(database: Database, project: Project) -> None:
    """No run."""


def submit(database: Database, project: Project) -> None:
    with database.write() as session:
        submit_run(session, project.id, trigger="count")


def start(database: Database, project: Project) -> None:
    """Begin a run on all labels there are."""
    submit(database, project)
    with database.write() as session:
        claim_run(session, 1, owner=OWNER, lease_s=60)
        members = {unit.annotation_id: unit.split for unit in gold_units(session, project.id)}
        snapshot = take_snapshot(
            session, project.id, schema=TINY_SCHEMA, members=members, n_sentences=1
        )
        set_snapshot(session, 1, snapshot.id)


def ask_to_stop(database: Database, project: Project) -> None:
    start(database, project)
    with database.write() as session:
        cancel_run(session, 1)


def cancel(database: Database, project: Project) -> None:
    ask_to_stop(database, project)
    with database.write() as session:
        finish_run(session, 1, owner=OWNER, state="cancelled")


def hold(database: Database, project: Project) -> None:
    start(database, project)
    with database.write() as session:
        add_version(
            session,
            project.id,
            name="ward-1",
            folder="models/ward-1",
            sha256="0" * 64,
            run_id=1,
            snapshot_id=1,
        )
        finish_run(session, 1, owner=OWNER, state="held")


@pytest.mark.parametrize(
    ("act", "gold", "model", "run"),
    [
        (nothing, "5 sentences since", "none yet; annotator retrain --wait trains one", "none"),
        (submit, "(run 1 is waiting)", "none yet; run 1 trains the first", "1 queued"),
        (start, "(run 1 is training)", "none yet; run 1 trains the first", "1 running"),
        (
            ask_to_stop,
            "5 sentences since",
            "none yet; run 1 trains the first",
            "1 running, asked to stop",
        ),
        (
            cancel,
            "5 sentences since",
            "none yet; annotator retrain --wait trains one",
            "1 cancelled",
        ),
        (cancel, "(run 1 was cancelled: 1 more start another, or annotator retrain)", "", ""),
        (hold, "0 sentences since the last run that gave a version (trains at 3)", "", ""),
    ],
)
def test_labels_are_new_until_a_version_has_learnt_them(
    database: Database,
    project: Project,
    settings: Settings,
    act: Act,
    gold: str,
    model: str,
    run: str,
) -> None:
    settings = settings.model_copy(update={"retrain_after": 3})
    notes = [make_document(f"d{i}") for i in range(5)]
    ingest_documents(database, project.id, notes, role="gold", holdout_share=0.0, seed=1)

    act(database, project)

    lines = {
        line[:15].strip(): line for line in _lines(project_status(database, project, settings))
    }
    assert gold in lines["new gold"]
    assert model in lines["model"]
    assert lines["last run"].endswith(run)


def test_a_list_of_runs_says_which_was_asked_to_stop(database: Database, project: Project) -> None:
    ask_to_stop(database, project)

    with database.read() as session:
        assert "asked to stop" in _line(get_run(session, 1))
