"""Labels that no model can learn are counted where people look, whatever way they came in."""

from __future__ import annotations

import pytest
from factories import make_document
from run_world import claim, ingest

from annotator.domain import Document, Entity, Relation
from annotator.errors import TrainingError
from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import IntakeRules
from annotator.services.models.snapshot import plan_run
from annotator.services.reports.doctor import examine_project
from annotator.services.reports.status import project_status
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.learnable import count_learnable, unlearnt_places
from annotator.store.projects import Project

EMPTYING = IntakeRules(replace=True, empty_is_gold=True)


def test_labels_left_out_are_counted_by_reason_and_placed(
    database: Database, project: Project
) -> None:
    document = make_document(
        entities=(
            Entity(id="a", type="Drug", start=0, end=8),  # a blank too many
            Entity(id="b", type="Effect", start=3, end=5),
            Entity(id="c", type="Effect", start=17, end=21),
        ),
        relations=(
            Relation(type="causes", head="a", tail="c"),
            Relation(type="causes", head="b", tail="c"),
        ),
    )
    ingest_documents(database, project.id, [document], role="gold", holdout_share=0.0, seed=1)

    with database.read() as session:
        found = count_learnable(session, project.id)
        (place,) = unlearnt_places(session, project.id, limit=5)

    assert (found.n_labels, found.n_learnable) == (5, 3)
    assert found.left_out == {"off_token_edge": 1, "relation_lost_entity": 1}
    assert (place.document, place.start, place.task) == (document.id, 0, None)
    assert place.left_out == found.left_out


def test_status_and_doctor_tell_of_them(
    database: Database, project: Project, settings: Settings
) -> None:
    ingest_documents(database, project.id, [_cut()], role="gold", holdout_share=0.0, seed=1)

    status = project_status(database, project, settings)
    findings = [f for f in examine_project(settings, database, project) if f.part == "gold"]

    assert status["learnable"] == {
        "n_labels": 1,
        "n_learnable": 0,
        "left_out": {"off_token_edge": 1},
    }
    assert [finding.state for finding in findings] == ["bad", "warning"]
    assert "1 of 1 labels cannot be learnt: 1 for a cut inside a word" in findings[0].message
    assert "document cut, from character 0" in findings[1].message


def test_a_sentence_with_a_label_that_is_not_learnt_is_in_no_training_and_no_measuring(
    database: Database, project: Project
) -> None:
    ingest(database, project, 0, 3, "gold")
    ingest_documents(database, project.id, [_cut()], role="gold", holdout_share=0.0, seed=1)

    plan = plan_run(database, project.id, claim(database, project))

    assert plan.n_incomplete == 1
    assert plan.left_out == {"off_token_edge": 1}
    assert all(not sentence.id.startswith("cut#0") for sentence in plan.train)


def test_a_run_of_which_no_label_can_be_learnt_is_refused(
    database: Database, project: Project
) -> None:
    ingest_documents(database, project.id, [_cut()], role="gold", holdout_share=0.0, seed=1)

    with pytest.raises(TrainingError, match=r"none of the 1 labels can be learnt: 1 for a cut"):
        plan_run(database, project.id, claim(database, project))


def test_gold_without_any_label_is_refused_too(database: Database, project: Project) -> None:
    ingest_documents(
        database,
        project.id,
        [make_document(entities=())],
        role="gold",
        holdout_share=0.0,
        seed=1,
        rules=EMPTYING,
    )

    with pytest.raises(TrainingError, match="no label to learn from"):
        plan_run(database, project.id, claim(database, project))


def _cut() -> Document:
    return make_document(id="cut", entities=(Entity(id="a", type="Drug", start=2, end=5),))
