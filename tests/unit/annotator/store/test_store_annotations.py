from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from factories import NOON, at, make_annotation, make_document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from annotator.domain import Entity
from annotator.services.intake.documents import store_document
from annotator.store.annotations import (
    NewAnnotation,
    correction_totals,
    current_revision,
    mark_deleted,
    record_annotation,
    studio_annotations,
    studio_ids,
    task_of_annotation,
)
from annotator.store.database import Database
from annotator.store.projects import Project, ensure_project
from db.tables import AnnotationRow, EntityRow, RelationRow

DRUG = Entity(id="e1", type="Drug", start=0, end=7)
BEGAN = 10**6  # a pull that began after all revisions
EFFECT = Entity(id="e2", type="Effect", start=17, end=21)


@pytest.fixture
def first(project: Project, document_id: int) -> NewAnnotation:
    return make_annotation(project.id, document_id, raw=[{"id": "a"}])


def record(database: Database, new: NewAnnotation, **options: Any) -> bool:
    with database.write() as session:
        return record_annotation(session, new, **options)


def delete(database: Database, project: Project, seconds: float) -> bool:
    with database.write() as session:
        return mark_deleted(session, project.id, external_id="1", at=at(seconds))


def current(database: Database, project: Project) -> SimpleNamespace:
    with database.read() as session:
        row = current_revision(session, project.id, source="studio", external_id="1")
        assert row is not None
        names = ("id", "state", "raw", "received_at", "revision", "diff", "parent_version")
        return SimpleNamespace(**{name: getattr(row, name) for name in names})


def history(database: Database) -> list[tuple[int, str, bool]]:
    with database.read() as session:
        rows = session.scalars(select(AnnotationRow).order_by(AnnotationRow.id))
        return [(row.revision, row.state, row.is_current) for row in rows]


def test_a_correction_is_a_new_row_and_the_old_one_stays(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)

    record(database, replace(first, entities=(DRUG,), relations=(), raw=[], created_at=at(1)))

    assert history(database) == [(1, "submitted", False), (2, "submitted", True)]
    with database.read() as session:
        n_labels = [
            session.scalar(select(func.count()).select_from(t)) for t in (EntityRow, RelationRow)
        ]
    assert n_labels == [3, 1]


def test_hearing_of_it_twice_is_no_news(database: Database, first: NewAnnotation) -> None:
    heard = [record(database, first), record(database, first), record(database, first)]

    assert heard == [True, False, False]
    assert history(database) == [(1, "submitted", True)]


def test_an_older_state_does_not_replace_a_younger_one(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, replace(first, created_at=at(5), raw=["new"]))

    assert not record(database, replace(first, created_at=at(4), raw=["old"]))
    assert current(database, project).raw == ["new"]


def test_the_same_labels_by_another_person_are_news(
    database: Database, first: NewAnnotation
) -> None:
    record(database, first)

    assert record(database, replace(first, annotator="7", created_at=at(1)))


def test_a_ground_truth_star_is_news(database: Database, first: NewAnnotation) -> None:
    record(database, first)

    assert record(database, replace(first, ground_truth=True))


def test_imported_labels_are_compared_as_labels(database: Database, first: NewAnnotation) -> None:
    imported = replace(first, source="import", raw=None)
    record(database, imported)

    same = record(database, replace(imported, created_at=at(9)))
    other = record(database, replace(imported, entities=(DRUG,), relations=(), created_at=at(9)))

    assert (same, other) == (False, True)


def test_what_we_read_out_of_a_result_is_not_the_annotators_decision(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)

    assert not record(database, replace(first, entities=(), relations=()))


def test_what_changed_of_a_prediction_is_kept_once_the_prediction_is_known(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)  # an event of live mode brings no prediction
    known = replace(first, diff={"entities_kept": 2}, parent_version="v1")

    is_new = record(database, known, pulled_after=BEGAN)
    record(database, first)

    now = current(database, project)
    assert (is_new, now.revision) == (False, 1)
    assert (now.diff, now.parent_version) == ({"entities_kept": 2}, "v1")


def test_labels_stay_with_the_text_they_were_made_for(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)
    with database.write() as session:
        edited, _, _ = store_document(session, project.id, make_document("edited"), split="train")

    unchanged = record(database, replace(first, document_id=edited), pulled_after=BEGAN)
    again = record(database, replace(first, document_id=edited, created_at=at(60)))

    assert (unchanged, again) == (False, True)


def test_a_deletion_is_a_revision_behind_which_the_labels_stay(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)

    assert delete(database, project, 3)
    assert history(database) == [(1, "submitted", False), (2, "deleted", True)]
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EntityRow)) == 2


def test_deleting_twice_or_the_unknown_is_no_news(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    unknown = delete(database, project, 1)
    record(database, first)
    delete(database, project, 3)

    assert (unknown, delete(database, project, 4)) == (False, False)


@pytest.mark.parametrize(
    "deleted_at", [-7200.0, 0.0, 5.0], ids=["clock two hours behind", "same time", "later"]
)
def test_a_late_creation_does_not_undo_a_deletion(
    database: Database, project: Project, first: NewAnnotation, deleted_at: float
) -> None:
    record(database, first)
    delete(database, project, deleted_at)

    assert not record(database, first)
    assert current(database, project).state == "deleted"


def test_a_pull_brings_back_what_was_believed_deleted(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)
    delete(database, project, 5)

    assert record(database, first, pulled_after=BEGAN)
    assert current(database, project).state == "submitted"


def test_a_submission_after_the_deletion_counts(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, first)
    delete(database, project, 5)

    assert record(database, replace(first, created_at=at(6), raw=["again"]))


def test_only_what_was_known_before_a_pull_can_have_vanished(
    database: Database, project: Project, first: NewAnnotation, document_id: int
) -> None:
    with database.write() as session:
        from annotator.store.tasks import add_task

        task = add_task(session, project.id, studio_id=1, document_id=document_id, sentence_id=None)
    record(database, replace(first, task_id=task))
    known = current(database, project).id

    with database.read() as session:
        before = studio_ids(session, project.id, task_id=task, up_to=known - 1)
        later = studio_ids(session, project.id, task_id=task, up_to=known)
        owner = task_of_annotation(session, project.id, external_id="1")
        raw = studio_annotations(session, project.id)

    assert (before, later, owner) == (set(), {"1"}, task)
    assert raw == {"1": {"id": "1", "raw": [{"id": "a"}]}}


def test_corrections_of_submitted_annotations_are_summed(
    database: Database, project: Project, first: NewAnnotation
) -> None:
    record(database, replace(first, diff={"entities_kept": 2, "entities_added": 1}))
    record(database, replace(first, external_id="2", diff={"entities_kept": 3}))
    skipped = replace(first, external_id="3", state="skipped", diff={"entities_kept": 50})
    record(database, skipped)
    record(database, replace(first, external_id="4"))
    unseen = replace(first, external_id="5", bulk_created=True, diff={"entities_kept": 50})
    record(database, unseen)

    with database.read() as session:
        totals = correction_totals(session, project.id)

    assert totals == {"entities_kept": 5, "entities_added": 1}


# ---------------------------------------------------------------- in any order, five times

STATES = tuple(
    {"created_at": at(i), "state": state, "raw": [i], "entities": entities, "relations": ()}
    for i, (state, entities) in enumerate(
        [("submitted", (DRUG,)), ("submitted", (DRUG, EFFECT)), ("skipped", ()), ("submitted", ())]
    )
)


@pytest.fixture(scope="module")
def replay_file(empty_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("replay") / "annotator.db"
    shutil.copy(empty_sqlite, file)
    return file


@given(order=st.permutations(list(range(len(STATES))) * 5))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_states_heard_in_any_order_five_times_end_in_the_youngest(
    replay_file: Path, order: Sequence[int]
) -> None:
    database = Database(f"sqlite:///{replay_file}")
    name = f"replay-{next(COUNTER)}"
    with database.write() as session:
        project = ensure_project(session, name=name, unit="sentence")
        document_id, _, _ = store_document(session, project.id, make_document(), split="train")
        base = make_annotation(project.id, document_id)
        news = sum(record_annotation(session, replace(base, **STATES[i])) for i in order)

    with database.read() as session:
        found = session.execute(
            select(AnnotationRow.revision, AnnotationRow.created_at, AnnotationRow.raw)
            .where(AnnotationRow.project_id == project.id)
            .order_by(AnnotationRow.revision)
        )
        revisions, times, raws = zip(*found, strict=True)
        marked = session.scalars(
            select(AnnotationRow.raw).where(
                AnnotationRow.project_id == project.id, AnnotationRow.is_current
            )
        ).all()
    database.close()
    assert revisions == tuple(range(1, news + 1))
    assert list(marked) == [[3]] == [raws[-1]]
    assert list(times) == sorted(set(times))
    assert times[-1] == at(3) > NOON


COUNTER = itertools.count()
