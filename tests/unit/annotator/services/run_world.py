"""What the tests of training runs share: notes to learn from, and a run done in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from factories import make_document
from tiny_bert import TINY_SCHEMA

from annotator.domain import Document, Entity, Relation
from annotator.jobs.training import run_settings
from annotator.model import checkpoint_sha256
from annotator.services.intake.documents import ingest_documents
from annotator.services.models.train import run_training
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import Run, claim_run, get_run, submit_run
from annotator.store.snapshots import take_snapshot
from annotator.store.versions import ModelVersion, activate_version, add_version, list_versions
from annotator.training import Decision

OWNER = "host:1"
SUBJECTS = ("Aspirin", "Ibuprofen", "Warfarin", "Codeine", "Insulin")
EFFECTS = ("rash", "fever", "nausea")


def make_note(i: int) -> Document:
    drug, effect = SUBJECTS[i % 5], EFFECTS[i % 3]
    text = f"{drug} induced {effect} in case {i}."
    start = len(drug) + len(" induced ")
    return make_document(
        f"n{i}",
        text,
        entities=(
            Entity(id="d", type="Drug", start=0, end=len(drug)),
            Entity(id="e", type="Effect", start=start, end=start + len(effect)),
        ),
        relations=(Relation(type="causes", head="d", tail="e"),),
    )


def ingest(database: Database, project: Project, first: int, last: int, role: Any = "gold") -> None:
    ingest_documents(
        database,
        project.id,
        [make_note(i) for i in range(first, last)],
        role=role,
        holdout_share=0.0,
        seed=1,
    )


def register(
    database: Database, project: Project, folder: Path, *, name: str = "v1"
) -> ModelVersion:
    """Make the checkpoint in ``folder`` the active version."""
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        snapshot = take_snapshot(session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0)
        version = add_version(
            session,
            project.id,
            name=name,
            folder=str(folder),
            sha256=checkpoint_sha256(folder),
            run_id=run.id,
            snapshot_id=snapshot.id,
        )
        activate_version(session, project.id, version.id, provisional=False)
    return version


def claim(database: Database, project: Project, **options: Any) -> Run:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test", **options)
        claimed = claim_run(session, run.id, owner=OWNER, lease_s=60)
    assert claimed is not None
    return claimed


def read(database: Database, run: Run) -> Run:
    with database.read() as session:
        return get_run(session, run.id)


def do(
    database: Database,
    project: Project,
    run: Run,
    settings: Settings,
    report: Callable[[Mapping[str, Any]], None] = lambda _progress: None,
) -> tuple[ModelVersion, Decision]:
    return run_training(
        database,
        project.id,
        run.id,
        owner=OWNER,
        settings=run_settings(settings, "cpu"),
        report=report,
    )


def versions(database: Database, project: Project) -> dict[str, str]:
    with database.read() as session:
        return {v.name: v.state for v in list_versions(session, project.id)}
