from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import at, make_annotation, make_document
from run_world import register

from annotator.domain import Entity
from annotator.services.intake.documents import store_document
from annotator.services.queue.score import ranking_cost, refresh_costs
from annotator.services.reports.status import project_status
from annotator.settings import Settings
from annotator.store.annotations import NewAnnotation, mark_deleted, record_annotation
from annotator.store.database import Database
from annotator.store.lead_times import LeadTime, count_lead_times, fitted_costs, lead_times
from annotator.store.projects import Project, audit_lines

Label = Callable[..., NewAnnotation]
DRUG = Entity(id="e1", type="Drug", start=0, end=7)


@pytest.fixture
def label(database: Database, project: Project) -> Label:
    """Stores a text of ``n_words`` words with an annotation of it."""
    documents: dict[str, int] = {}

    def run(number: int, *, n_words: int = 5, **fields: Any) -> NewAnnotation:
        text = " ".join(["Aspirin", *["rash"] * (n_words - 1)])
        document = make_document(f"note-{n_words}", text, entities=(DRUG,))
        with database.write() as session:
            if text not in documents:
                documents[text] = store_document(session, project.id, document, split="train")[0]
            new = make_annotation(
                project.id,
                documents[text],
                document=document,
                **{"external_id": str(number), "lead_time_s": 4.0, "annotator": "7", **fields},
            )
            record_annotation(session, new)
        return new

    return run


def found(database: Database, project: Project) -> list[LeadTime]:
    with database.read() as session:
        times = lead_times(session, project.id, limit=100)
        assert count_lead_times(session, project.id) == len(times)
    return times


def refreshed(database: Database, project: Project) -> dict[str, Any]:
    """Fit the figures and read them back."""
    assert refresh_costs(database, project.id)
    with database.read() as session:
        fitted = fitted_costs(session, project.id)
    assert fitted is not None
    return fitted


def label_many(label: Label, n: int, *, first: int = 0) -> None:
    """Let a task take two seconds, and half a second more a word; nobody changes a thing."""
    for i in range(first, first + n):
        n_words = 4 + i % 23
        label(
            i,
            n_words=n_words,
            lead_time_s=2.0 + 0.5 * n_words,
            annotator=f"person-{i % 2}",
            parent_prediction=1,
            diff={"entities_kept": 1},
        )


# ------------------------------------------------------------------ which times count


def test_a_time_comes_with_what_is_on_the_task(
    database: Database, project: Project, label: Label
) -> None:
    label(1, n_words=12, lead_time_s=8.5)

    assert found(database, project) == [
        LeadTime(n_words=12, n_entities=1, n_relations=0, diff=None, lead_time_s=8.5, annotator="7")
    ]


def test_the_time_is_that_of_the_first_submission_for_later_ones_add_to_it(
    database: Database, project: Project, label: Label
) -> None:
    first = label(1, lead_time_s=8.5)
    with database.write() as session:
        changed = replace(first, entities=(), raw=["none"], lead_time_s=700.0, created_at=at(900))
        record_annotation(session, changed)

    assert [(one.lead_time_s, one.n_entities) for one in found(database, project)] == [(8.5, 1)]


def test_what_was_accepted_in_bulk_counts_from_when_somebody_looked(
    database: Database, project: Project, label: Label
) -> None:
    first = label(1, bulk_created=True, lead_time_s=None, parent_prediction=3, diff={})
    assert found(database, project) == []

    with database.write() as session:
        looked = replace(first, bulk_created=False, raw=["one"], lead_time_s=6.0, created_at=at(9))
        record_annotation(session, looked)

    assert [one.lead_time_s for one in found(database, project)] == [6.0]


@pytest.mark.parametrize(
    "fields",
    [
        {"bulk_created": True},
        {"state": "skipped"},
        {"source": "import"},
        {"lead_time_s": None},
        {"lead_time_s": 0.0},
        {"lead_time_s": -3.0},
        {"parent_prediction": 5},
    ],
    ids=["in-bulk", "skipped", "import", "untimed", "zero", "negative", "unknown-prediction"],
)
def test_other_times_are_left_out(
    database: Database, project: Project, label: Label, fields: dict[str, Any]
) -> None:
    label(1, **fields)

    assert found(database, project) == []


def test_a_deleted_annotation_is_left_out(
    database: Database, project: Project, label: Label
) -> None:
    label(1)
    with database.write() as session:
        mark_deleted(session, project.id, external_id="1", at=at(5))

    assert found(database, project) == []


def test_the_newest_come_first_and_no_more_than_asked_for(
    database: Database, project: Project, label: Label
) -> None:
    for i in range(4):
        label(i, lead_time_s=1.0 + i)

    with database.read() as session:
        times = lead_times(session, project.id, limit=2)

    assert [one.lead_time_s for one in times] == [4.0, 3.0]


# ------------------------------------------------------------------ the figures


def test_the_figures_are_fitted_once_and_told_with_their_error(
    database: Database, project: Project, settings: Settings, label: Label
) -> None:
    label_many(label, 230)
    assert project_status(database, project, settings)["cost"] is None

    refresh_costs(database, project.id)

    told = project_status(database, project, settings)["cost"]
    assert (told["n_timed"], told["n_people"]) == (230, 2)
    assert told["parts"]["word_s"] == pytest.approx(0.5, rel=0.02)
    assert told["median_s"] == 9.5
    assert told["error_s"] < 0.2 < told["constant_error_s"]
    assert told["summary"].startswith("about 10 s (")
    assert told["summary"].endswith(
        "off by 0 s at the median (3 s if all took the same), "
        "from 230 timed annotations of 2 people"
    )


def test_nothing_is_kept_of_single_people(
    database: Database, project: Project, label: Label
) -> None:
    label_many(label, 200)

    refresh_costs(database, project.id)

    with database.read() as session:
        assert "person-" not in str(audit_lines(session, project.id))


def test_the_option_is_what_simulate_takes(
    database: Database, project: Project, label: Label
) -> None:
    from annotator.cli.simulate import _parse_cost

    label_many(label, 200)

    fitted = refreshed(database, project)

    given = _parse_cost(fitted["option"])
    assert given["sentence_s"] == pytest.approx(fitted["parts"]["task_s"], rel=0.01)
    assert given["word_s"] == pytest.approx(0.5, rel=0.02)


def test_figures_are_fitted_anew_only_if_there_are_other_times(
    database: Database, project: Project, label: Label
) -> None:
    label_many(label, 199)
    too_few = refresh_costs(database, project.id)

    label_many(label, 1, first=199)
    first, again = refresh_costs(database, project.id), refresh_costs(database, project.id)
    label_many(label, 1, first=200)

    assert (too_few, first, again) == (False, True, False)
    assert refreshed(database, project)["n_timed"] == 201


def test_edits_are_what_was_changed_of_the_prediction(
    database: Database, project: Project, label: Label
) -> None:
    for i in range(240):
        n_changed = i % 3
        label(
            i,
            n_words=4 + i % 11,
            lead_time_s=6.0 + 5.0 * n_changed,
            parent_prediction=1,
            diff={"entities_kept": 1, "entities_removed": n_changed, "relations_kept": 2},
        )

    fitted = refreshed(database, project)

    assert fitted["parts"]["edit_s"] == pytest.approx(5.0, rel=0.05)
    assert fitted["parts"]["word_s"] == pytest.approx(0.0, abs=0.05)


def test_without_a_prediction_every_label_is_an_edit(
    database: Database, project: Project, label: Label
) -> None:
    two = (DRUG, Entity(id="e2", type="Effect", start=8, end=12))
    for i in range(240):
        label(i, entities=two[: i % 3], lead_time_s=6.0 + 8.0 * (i % 3))

    fitted = refreshed(database, project)

    parts = fitted["parts"]
    assert parts["entity_s"] + parts["edit_s"] == pytest.approx(8.0, rel=0.05)
    assert float(fitted["option"].split(",")[2]) == pytest.approx(8.0, rel=0.05)


@pytest.mark.parametrize(("n", "weighed"), [(199, False), (200, True)])
def test_an_order_is_weighed_by_seconds_from_two_hundred_timed_annotations_on(
    database: Database, project: Project, tiny_model: Path, label: Label, n: int, weighed: bool
) -> None:
    label_many(label, n)
    refresh_costs(database, project.id)
    version = register(database, project, tiny_model)

    cost = ranking_cost(database, project.id, version)

    assert (cost is not None) == weighed
    assert cost is None or cost.word_s == pytest.approx(0.5, rel=0.02)
