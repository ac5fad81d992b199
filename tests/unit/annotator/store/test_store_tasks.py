from __future__ import annotations

from typing import Any

import pytest
from factories import make_annotation, make_document, make_task

from annotator.services.intake.documents import store_document
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.pushes import has_pushes, record_pushes, unpushed_task_ids
from annotator.store.selections import Choice, latest_choice, log_selection, queue_head
from annotator.store.tasks import (
    add_task,
    count_tasks,
    find_task,
    known_studio_ids,
    mark_tasks_deleted,
    move_task,
    open_tasks,
    refresh_state,
    task_by_id,
)
from annotator.store.versions import add_version

TWO = "Aspirin caused a rash. It faded after a day."


@pytest.fixture
def task_id(database: Database, project: Project) -> int:
    with database.write() as session:
        return make_task(session, project.id, studio_id=7, document=make_document(text=TWO))


def decide(database: Database, project: Project, task_id: int, **fields: Any) -> None:
    with database.write() as session:
        task = task_by_id(session, task_id)
        plain = {"region": task.region, "entities": (), "relations": (), "task_id": task_id}
        record_annotation(session, make_annotation(project.id, task.document_id, **plain, **fields))


def test_a_task_shows_its_sentence(database: Database, project: Project, task_id: int) -> None:
    with database.read() as session:
        task = find_task(session, project.id, studio_id=7)
        assert task == task_by_id(session, task_id)

    assert (task.text, task.region, task.state) == ("Aspirin caused a rash.", (0, 22), "open")


def test_a_task_is_stored_once(database: Database, project: Project, task_id: int) -> None:
    with database.write() as session:
        task = task_by_id(session, task_id)
        again = add_task(
            session,
            project.id,
            studio_id=7,
            document_id=task.document_id,
            sentence_id=task.sentence_id,
        )

    assert again == task_id


def test_an_id_that_label_studio_gives_again_is_another_task(
    database: Database, project: Project, task_id: int
) -> None:
    decide(database, project, task_id, state="submitted")
    with database.write() as session:
        mark_tasks_deleted(session, project.id, [7])
        other, _, _ = store_document(session, project.id, make_document("new"), split="train")

        new = add_task(session, project.id, studio_id=7, document_id=other, sentence_id=None)

        states = {i: task_by_id(session, i).state for i in (task_id, new)}
        assert find_task(session, project.id, studio_id=7).id == new

    assert states == {task_id: "deleted", new: "open"}


@pytest.mark.parametrize(
    ("decisions", "state"),
    [
        (["submitted"], "labelled"),
        (["skipped"], "skipped"),
        (["skipped", "submitted"], "labelled"),
        (["deleted"], "open"),
        ([], "open"),
    ],
    ids=["labelled", "skipped", "one of two labelled", "deleted", "none"],
)
def test_a_tasks_state_follows_from_its_annotations(
    database: Database, project: Project, task_id: int, decisions: list[str], state: str
) -> None:
    for i, decision in enumerate(decisions):
        decide(database, project, task_id, external_id=f"{i}", state=decision)

    with database.write() as session:
        assert refresh_state(session, task_id) == state
        assert count_tasks(session, project.id)[state] == 1


def test_a_deleted_task_comes_back_by_a_pull_only(
    database: Database, project: Project, task_id: int
) -> None:
    with database.write() as session:
        n = [mark_tasks_deleted(session, project.id, [7, 99]) for _ in range(2)]
        by_event = refresh_state(session, task_id)
        by_pull = refresh_state(session, task_id, revive=True)

    assert (n, by_event, by_pull) == ([1, 0], "deleted", "open")


def test_deleted_tasks_are_not_known_and_not_open(
    database: Database, project: Project, task_id: int
) -> None:
    with database.write() as session:
        before = known_studio_ids(session, project.id)
        mark_tasks_deleted(session, project.id, [7])

        assert (before, known_studio_ids(session, project.id)) == ({7}, set())
        assert open_tasks(session, project.id) == []


def test_an_open_task_brings_the_sentences_that_it_shows(
    database: Database, project: Project, task_id: int
) -> None:
    with database.write() as session:
        whole = make_task(
            session,
            project.id,
            studio_id=8,
            document=make_document("whole", TWO),
            i_sentence=None,
        )
        tasks = open_tasks(session, project.id)
        chosen = open_tasks(session, project.id, task_ids=[whole])

    assert [len(task.sentences) for task in tasks] == [1, 2]
    assert [task.region for task in tasks] == [(0, 22), (0, 44)]
    assert chosen == tasks[1:]


def test_an_edited_task_shows_another_document(
    database: Database, project: Project, task_id: int
) -> None:
    with database.write() as session:
        document = make_document("edited", "New text.")
        edited, _, _ = store_document(session, project.id, document, split="train")
        move_task(session, task_id, document_id=edited, sentence_id=None)
        task = task_by_id(session, task_id)

    assert (task.text, task.region) == ("New text.", (0, 9))


# ------------------------------------------------------------------ pushes and choices


@pytest.fixture
def version_id(database: Database, project: Project) -> int:
    from tiny_bert import TINY_SCHEMA

    from annotator.store.runs import submit_run
    from annotator.store.snapshots import take_snapshot

    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        snapshot = take_snapshot(session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0)
        return add_version(
            session,
            project.id,
            name="v1",
            folder="models/v1",
            sha256="0" * 64,
            run_id=run.id,
            snapshot_id=snapshot.id,
        ).id


def test_a_push_is_noted_once(
    database: Database, project: Project, task_id: int, version_id: int
) -> None:
    with database.write() as session:
        before = unpushed_task_ids(session, project.id, version_id=version_id)
        had = has_pushes(session, version_id)
        for score in (0.25, 0.75):
            record_pushes(session, project.id, version_id=version_id, scores={task_id: score})
        record_pushes(session, project.id, version_id=version_id, scores={})
        after = unpushed_task_ids(session, project.id, version_id=version_id)
        head = queue_head(session, project.id, version_id=version_id, limit=5)

        assert (had, has_pushes(session, version_id)) == (False, True)
    assert (before, after) == ([task_id], [])
    assert [one["score"] for one in head] == [0.25]


def test_the_queues_head_is_the_lowest_score_of_open_tasks(
    database: Database, project: Project, version_id: int
) -> None:
    with database.write() as session:
        ids = [
            make_task(session, project.id, studio_id=i, document=make_document(f"d{i}"))
            for i in range(1, 4)
        ]
        scores = dict(zip(ids, (0.9, 0.1, 0.5), strict=True))
        record_pushes(session, project.id, version_id=version_id, scores=scores)
        mark_tasks_deleted(session, project.id, [2])
        head = queue_head(session, project.id, version_id=version_id, limit=5)

    assert [(one["task"], one["document"], one["reason"]) for one in head] == [
        (3, "d3", None),
        (1, "d1", None),
    ]


def test_the_newest_choice_tells_why_a_task_stands_where_it_does(
    database: Database, project: Project, task_id: int, version_id: int
) -> None:
    with database.write() as session:
        assert latest_choice(session, task_id) is None
        for seed in (1, 2):
            log_selection(
                session,
                project.id,
                version_id=version_id,
                strategy="mnlp",
                seed=seed,
                n_pool=1,
                choices=[Choice(task_id=task_id, rank=seed, reason="strategy", utility=0.5)],
            )
        found = latest_choice(session, task_id)

    assert (found.seed, found.choice.rank, found.version, found.strategy) == (2, 2, "v1", "mnlp")
