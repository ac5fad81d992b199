"""What the tests of the housekeeper share: a queue that remembers, and steps of a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from factories import make_document
from tiny_bert import TINY_SCHEMA

from annotator.model import checkpoint_sha256
from annotator.services.intake.documents import ingest_documents
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import (
    claim_run,
    list_runs,
    set_snapshot,
    submit_run,
)
from annotator.store.snapshots import take_snapshot
from annotator.store.versions import activate_version, add_version


@dataclass
class SpyQueue:
    """Remembers what it was asked."""

    submitted: list[int] = field(default_factory=list)
    tended: list[float] = field(default_factory=list)
    n_published: int = 0

    def submit(self, run_id: int) -> None:
        self.submitted.append(run_id)

    def tend(self, delay_s: float = 0.0) -> None:
        self.tended.append(delay_s)

    def publish(self) -> None:
        self.n_published += 1


def label(database: Database, project: Project, n: int, first: int = 0) -> None:
    ingest_documents(
        database,
        project.id,
        [make_document(f"d{first + i}") for i in range(n)],
        role="gold",
        holdout_share=0.0,
        seed=1,
    )


def states(database: Database, project: Project) -> list[str]:
    with database.read() as session:
        return [run.state for run in list_runs(session, project.id)]


def use_version(database: Database, project: Project, folder: Path) -> None:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        snapshot = take_snapshot(session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0)
        version = add_version(
            session,
            project.id,
            name="ward-1",
            folder=str(folder),
            sha256=checkpoint_sha256(folder),
            run_id=run.id,
            snapshot_id=snapshot.id,
        )
        activate_version(session, project.id, version.id, provisional=False)


def start_run(database: Database, project: Project, *, has_snapshot: bool) -> int:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        claim_run(session, run.id, owner="host:2", lease_s=60)
        if has_snapshot:
            snapshot = take_snapshot(
                session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0
            )
            set_snapshot(session, run.id, snapshot.id)
    return run.id
