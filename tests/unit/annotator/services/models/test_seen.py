"""What of a test file a version has learnt from, and what it cannot know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from factories import RASH, make_document
from run_world import ingest, make_note
from tiny_bert import TINY_SCHEMA

from annotator.domain import Document, Entity
from annotator.errors import InputError
from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import UnknownType
from annotator.services.models.seen import read_test_text
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project
from annotator.store.runs import submit_run
from annotator.store.snapshots import take_snapshot
from annotator.store.versions import ModelVersion, add_version

LEARNT = " ".join(f"w{i}" for i in range(40))
EDITED = LEARNT.replace("w39", "changed")


def drug(name: str, text: str, *, type: str = "Drug", **meta: str) -> Document:
    entities = (Entity(id="e", type=type, start=0, end=text.index(" ")),)
    return make_document(name, text, entities=entities, **meta)


CUT = make_document("cut", RASH, entities=(Entity(id="e", type="Drug", start=2, end=4),))


@pytest.fixture
def version(database: Database, project: Project, tmp_path: Path) -> ModelVersion:
    """A version that learnt from five notes, one patient's letter and a long text."""
    ingest(database, project, 0, 5)
    more = [drug("long", LEARNT), drug("letter", "Dx of old.", group="patient-1")]
    ingest_documents(database, project.id, more, role="gold", holdout_share=0.0, seed=1)
    ingest(database, project, 7, 9, role="holdout")
    with database.write() as session:
        members = {u.annotation_id: u.split for u in gold_units(session, project.id)}
        taken = take_snapshot(
            session, project.id, schema=TINY_SCHEMA, members=members, n_sentences=7
        )
        run, _ = submit_run(session, project.id, trigger="test")
        return add_version(
            session,
            project.id,
            name="v1",
            folder=str(tmp_path),
            sha256="0" * 64,
            run_id=run.id,
            snapshot_id=taken.id,
        )


@pytest.mark.parametrize(
    ("document", "seen"),
    [
        (replace(make_note(1), id="new"), (True,)),
        (drug("b", f"{RASH} {make_note(1).text}"), (False, True)),
        (drug("b", EDITED), (True,)),
        (drug("b", "Another letter of that patient.", group="patient-1"), (True,)),
        (drug("b", "Another letter of a patient.", group="patient-2"), (False,)),
        (replace(make_note(7), id="new"), (False,)),
    ],
    ids=["document", "sentence", "near-duplicate", "source", "another source", "hold-out"],
)
def test_text_that_was_learnt_from_is_told_from_text_that_was_not(
    database: Database,
    project: Project,
    version: ModelVersion,
    document: Document,
    seen: tuple[bool, ...],
) -> None:
    test = read_test_text(database, project.id, version, [document])

    assert test.seen == seen
    assert len(test.sentences) == len(seen)


def test_types_that_the_version_does_not_know_are_named(
    database: Database, project: Project, version: ModelVersion
) -> None:
    odd = drug("odd", "Dx of old.", type="Durg")

    test = read_test_text(database, project.id, version, [odd, make_note(1)])

    assert test.unknown_types == (UnknownType(name="Durg", n=1, nearest="Drug"),)


@pytest.mark.parametrize(
    ("documents", "error"),
    [
        ([], "not one label"),
        ([make_document("bare", "Nothing here.")], "not one label"),
        ([drug("odd", "Dx of old.", type="Durg")], r"none of its types: Durg .1 labels"),
        ([CUT], "none of its sentences"),
    ],
    ids=["empty", "without labels", "another schema", "inside a word"],
)
def test_what_nothing_can_be_measured_on_is_refused(
    database: Database,
    project: Project,
    version: ModelVersion,
    documents: list[Document],
    error: str,
) -> None:
    with pytest.raises(InputError, match=error):
        read_test_text(database, project.id, version, documents)
