"""What is measured of a version when it goes into use, and what status makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from factories import at, make_annotation, make_document, make_task
from tiny_bert import TINY_SCHEMA

from annotator.services.models.learning_curve import note_learning
from annotator.services.reports.status import agreement_lines, learning_lines, learning_status
from annotator.store.annotations import correction_totals, record_annotation
from annotator.store.curve_points import corrected_tasks
from annotator.store.database import Database
from annotator.store.documents import hash_text
from annotator.store.projects import Project, save_schema
from annotator.store.runs import submit_run
from annotator.store.selections import Choice, log_selection
from annotator.store.snapshots import take_snapshot
from annotator.store.tasks import task_by_id
from annotator.store.versions import (
    ModelVersion,
    StoredPrediction,
    activate_version,
    add_evaluation,
    add_version,
    get_version,
    save_predictions,
)

TEXT = "Aspirin number {} caused a rash ."
HOLDOUT = {
    "n_sentences": 200,
    "joint": {"f1": 70.0, "low": 66.0, "high": 74.0, "error": 2.0},
    "learnt_from": {"sentences": 100, "words": 2_000, "entities": 200, "relations": 90},
}

Promote = Callable[..., ModelVersion]


@pytest.fixture
def promote(database: Database, project: Project) -> Promote:
    """Puts a version into use that saw the drug in some texts, and the effect in others too."""
    with database.write() as session:
        save_schema(session, project.id, TINY_SCHEMA, config_xml=None)

    def run(name: str, saw: dict[int, bool] | None = None, **holdout: Any) -> ModelVersion:
        with database.write() as session:
            run, _ = submit_run(session, project.id, trigger="test")
            snapshot = take_snapshot(
                session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0
            )
            version = add_version(
                session,
                project.id,
                name=name,
                folder="",
                sha256="0" * 64,
                run_id=run.id,
                snapshot_id=snapshot.id,
            )
            activate_version(session, project.id, version.id, provisional=False)
            add_evaluation(
                session,
                version.id,
                split="holdout",
                metrics={**HOLDOUT, **holdout},
                n_sentences=200,
            )
            save_predictions(
                session, version.id, [see(i, effect) for i, effect in (saw or {}).items()]
            )
            session.flush()
            return get_version(session, project.id, name)

    return run


def see(i: int, effect: bool) -> StoredPrediction:
    text = TEXT.format(i)
    entities = [{"type": "Drug", "start": 0, "end": 7, "score": 0.9}]
    if effect:
        first = text.index("rash")
        entities.append({"type": "Effect", "start": first, "end": first + 4, "score": 0.9})
    return StoredPrediction(
        text_hash=hash_text(text),
        entities=entities,
        relations=[{"type": "causes", "head": 0, "tail": 1, "score": 0.9}] if effect else [],
        signals={},
        embedding=b"",
    )


@pytest.fixture
def tasks(database: Database, project: Project) -> list[int]:
    """Six tasks of a document each."""
    with database.write() as session:
        return [
            make_task(
                session,
                project.id,
                studio_id=i + 1,
                document=make_document(f"n{i}", TEXT.format(i)),
                i_sentence=0,
            )
            for i in range(6)
        ]


def status(database: Database, project: Project) -> dict[str, Any]:
    with database.read() as session:
        return learning_status(session, project.id)


def label(database: Database, project: Project, task_id: int, **fields: Any) -> None:
    with database.write() as session:
        task = task_by_id(session, task_id)
        given = {"task_id": task_id, "external_id": str(task_id), "created_at": at(1), **fields}
        record_annotation(
            session,
            make_annotation(
                project.id, task.document_id, document=make_document("d", task.text), **given
            ),
        )


def test_versions_are_compared_on_what_nobody_has_labelled(
    database: Database, project: Project, promote: Promote, tasks: list[int]
) -> None:
    promote("ward-1", dict.fromkeys(range(6), True))
    second = promote("ward-2", {**dict.fromkeys(range(5), True), 5: False})
    label(database, project, tasks[0])

    note_learning(database, project.id, second, seed=1)

    found = status(database, project)["agreement"]
    assert found["against"] == "ward-1"
    assert (found["n_sentences"], found["n_words"]) == (5, 35)
    assert (found["n_entities"], found["n_relations"]) == (10, 5)
    # entities: 9 both, 1 the older alone; relations: 4 both, 1 the older alone
    assert found["delta_f"] == pytest.approx(((100 - 1800 / 19) + (100 - 800 / 9)) / 2)
    assert found["tags"] == pytest.approx(
        (34 * 35 - 695) / (35 * 35 - 695)
    )  # by chance 5*5 + 5*4 + 25*26


@pytest.mark.parametrize(
    ("n_sentences", "on", "n_compared"),
    [
        pytest.param(300, "holdout", 300, id="long-enough"),  # 2,100 words
        pytest.param(200, "pool", 206, id="too-short"),
    ],
)
def test_a_hold_out_that_is_long_enough_is_what_versions_are_compared_on(
    database: Database,
    project: Project,
    promote: Promote,
    tasks: list[int],
    n_sentences: int,
    on: str,
    n_compared: int,
) -> None:
    texts = range(100, 100 + n_sentences)
    with database.write() as session:
        document = make_document("h", " ".join(TEXT.format(i) for i in texts))
        make_task(session, project.id, document=document, split="holdout")
    everything = [*range(6), *texts]
    promote("ward-1", dict.fromkeys(everything, True))
    second = promote("ward-2", dict.fromkeys(everything, True))

    note_learning(database, project.id, second, seed=1)

    found = status(database, project)["agreement"]
    assert (found["on"], found["n_sentences"]) == (on, n_compared)
    assert len(tasks) == 6


def test_a_first_version_and_one_that_shares_no_text_are_not_compared(
    database: Database, project: Project, promote: Promote, tasks: list[int]
) -> None:
    first = promote("ward-1", {0: True})
    note_learning(database, project.id, first, seed=1)
    second = promote("ward-2", {1: True})
    note_learning(database, project.id, second, seed=1)

    found = status(database, project)
    assert found["agreement"] is None
    assert found["advice"]["state"] == "unknown"
    assert len(tasks) == 6


def test_a_text_that_was_cut_into_other_words_is_left_out(
    database: Database, project: Project, promote: Promote, tasks: list[int]
) -> None:
    promote("ward-1", {0: True, 1: True})
    second = promote("ward-2", {0: True})
    with database.write() as session:
        odd = see(1, effect=False)
        odd.entities[0]["end"] = 3  # type: ignore[index]
        save_predictions(session, second.id, [odd])

    note_learning(database, project.id, second, seed=1)

    assert status(database, project)["agreement"]["n_sentences"] == 1
    assert len(tasks) == 6


def test_what_was_measured_once_is_not_measured_again(
    database: Database, project: Project, promote: Promote, tasks: list[int]
) -> None:
    promote("ward-1", {0: True})
    second = promote("ward-2", {0: True})
    note_learning(database, project.id, second, seed=1)
    label(database, project, tasks[0])

    with database.read() as session:
        again = get_version(session, project.id, "ward-2")
    note_learning(database, project.id, again, seed=1)

    assert status(database, project)["agreement"]["n_sentences"] == 1


def test_the_advice_looks_at_the_versions_up_to_its_own(
    database: Database, project: Project, promote: Promote
) -> None:
    for i, words in enumerate((1_000, 2_000, 4_000, 8_000)):
        version = promote(
            f"ward-{i}",
            joint={"f1": 50.0 + 8 * i, "low": 0.0, "high": 0.0, "error": 0.5},
            learnt_from={"sentences": 1, "words": words, "entities": 1, "relations": 1},
        )
        note_learning(database, project.id, version, seed=1)

    found = status(database, project)
    assert [p["words"] for p in found["curve"]] == [1_000, 2_000, 4_000, 8_000]
    assert 0.5 < found["forecast"]["gain"] < 1.2  # eight points a doubling
    assert found["forecast"]["n"] == 4
    assert found["advice"]["state"] == "continue"
    assert "10% more words would bring" in found["advice"]["reasons"][0]


def choose(
    database: Database, project: Project, places: dict[int, str], strategy: str = "mnlp"
) -> None:
    with database.write() as session:
        log_selection(
            session,
            project.id,
            version_id=None,
            strategy=strategy,
            seed=1,
            n_pool=6,
            choices=[
                Choice(task_id=task, rank=rank, reason=reason)
                for rank, (task, reason) in enumerate(places.items())
            ],
        )


def test_what_was_corrected_is_summed_over_what_people_submitted(
    database: Database, project: Project, tasks: list[int]
) -> None:
    label(database, project, tasks[0], diff={"entities_added": 2, "entities_kept": 1})
    label(database, project, tasks[1], diff={"entities_kept": 2, "relations_removed": 0})
    label(database, project, tasks[2], diff={"entities_added": 9}, bulk_created=True)
    label(database, project, tasks[3])

    with database.read() as session:
        totals = correction_totals(session, project.id)

    assert totals == {"entities_kept": 3, "entities_added": 2, "relations_removed": 0}


def test_what_was_corrected_is_counted_by_the_last_place_of_a_task(
    database: Database, project: Project, tasks: list[int]
) -> None:
    choose(database, project, dict.fromkeys(tasks, "rest"))
    choose(database, project, {tasks[0]: "strategy", tasks[1]: "random", tasks[2]: "strategy"})
    label(database, project, tasks[0], diff={"entities_added": 2, "entities_kept": 1})
    label(database, project, tasks[1], diff={"entities_kept": 2})
    label(database, project, tasks[2], diff={"entities_added": 9}, bulk_created=True)
    label(database, project, tasks[3], diff={"entities_added": 3})
    label(database, project, tasks[4])

    with database.read() as session:
        found = list(corrected_tasks(session, project.id))

    assert sorted(
        (one.reason, one.n_words, one.diff.get("entities_added", 0)) for one in found
    ) == [
        ("random", 7, 0),
        ("rest", 7, 3),
        ("strategy", 7, 2),
    ]


def test_a_queue_that_was_all_random_is_no_random_share(
    database: Database, project: Project, tasks: list[int]
) -> None:
    choose(database, project, {tasks[0]: "random"}, strategy="random")
    label(database, project, tasks[0], diff={"entities_added": 2})

    with database.read() as session:
        assert [one.reason for one in corrected_tasks(session, project.id)] == ["rest"]


def test_tasks_of_the_hold_out_are_no_part_of_the_comparison(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        task = make_task(
            session, project.id, document=make_document("h", TEXT.format(9)), split="holdout"
        )
    choose(database, project, {task: "holdout"})
    label(database, project, task, diff={"entities_added": 1})

    with database.read() as session:
        assert not list(corrected_tasks(session, project.id))


def test_status_says_where_random_order_would_have_been(
    database: Database, project: Project, promote: Promote
) -> None:
    version = promote("ward-1")
    worth = {
        "state": "pays",
        "reason": "the strategy's tasks hold twice as many",
        **{"ratio": 2.0, "low": 1.5, "high": 3.0},
        "tasks": {"strategy": {"words": 1_000}, "random": {"words": 200}},
    }
    advice = {"state": "unknown", "reasons": ["no curve"]}
    with database.write() as session:
        add_evaluation(
            session,
            version.id,
            split="queue",
            metrics={"worth": worth, "advice": advice, "forecast": None},
            n_sentences=0,
        )

    found = status(database, project)

    assert found["curve"][0]["words_at_random"] == {"estimate": 3_000, "low": 2_500, "high": 4_000}
    assert learning_lines(found) == [
        "joint F1       70.0 (66.0-74.0) at 2,000 words",
        "more labels    cannot tell yet whether further labelling pays: no curve",
        "queue          it pays: the strategy's tasks hold twice as many",
    ]


def test_a_project_without_versions_has_nothing_to_say(
    database: Database, project: Project
) -> None:
    assert learning_lines(status(database, project)) == []


def test_versions_without_a_hold_out_have_no_point(
    database: Database, project: Project, promote: Promote
) -> None:
    promote("ward-1", joint=None)

    assert status(database, project)["curve"] == []


def test_show_says_how_a_version_agrees_with_the_one_before() -> None:
    found = {"against": "ward-1", "n_sentences": 7, "tags": 0.98765, "pairs": None}

    assert agreement_lines({"unlabelled": found}) == [
        "agreement with ward-1 on 7 sentences without labels: "
        "kappa of word tags 0.988, relations not defined"
    ]
    [line] = agreement_lines({"unlabelled": {**found, "on": "holdout"}})
    assert line.startswith("agreement with ward-1 on 7 sentences without labels of the hold-out: ")
    assert agreement_lines({}) == []
