from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_document
from fake_studio import FakeStudio
from run_world import register

from annotator.errors import ConfigError, StudioError
from annotator.model import Predictor
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue.order import QueueSettings, TaskOrder
from annotator.services.queue.publish import publish_version, serve_first
from annotator.services.sync.upload import upload_tasks
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.selections import latest_choice, queue_head
from annotator.store.tasks import find_task
from annotator.store.versions import ModelVersion

QUEUE = QueueSettings(strategy="mnlp", batch=5, random_share=0.0, per_document=9, seed=1)
TEXT = " ".join(f"Aspirin caused rash {i}." for i in range(6))


@pytest.fixture
def version(database: Database, linked: Project, tiny_model: Path) -> ModelVersion:
    return register(database, linked, tiny_model, name="ward-1")


@pytest.fixture
def served(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    version: ModelVersion,
    tiny_model: Path,
) -> Any:
    """Six tasks that were pushed; gives the order in which Label Studio serves them."""
    predictor = Predictor.load(tiny_model, device="cpu")
    documents = [make_document("d", TEXT)]
    ingest_documents(database, linked.id, documents, role="pool", holdout_share=0.0, seed=1)
    upload_tasks(database, linked, studio)
    publish_version(database, linked, studio, version, lambda: predictor, queue=QUEUE)

    def run() -> list[int]:
        scores = {
            task: p["score"] for task in range(1, 7) for p in studio.predictions(task) if p["score"]
        }
        assert all(0.0 < score < 1.0 for score in scores.values())
        return sorted(scores, key=lambda task: scores[task])

    return run


@pytest.fixture
def order(database: Database, linked: Project) -> Any:
    """Makes an order of tasks by their numbers in Label Studio."""

    def run(*studio_ids: int) -> TaskOrder:
        with database.read() as session:
            found = [find_task(session, linked.id, studio_id=number) for number in studio_ids]
        return TaskOrder(
            task_ids=np.array([task.id for task in found if task], dtype=np.int64),
            reasons=["strategy"] * len(found),
            utilities=np.linspace(1.0, 0.5, len(found)),
            strategy="joint_rank",
            seed=7,
            n_pool=6,
            n_open=6,
            n_unscored=0,
        )

    return run


@pytest.fixture
def put(
    database: Database, linked: Project, studio: FakeStudio, version: ModelVersion, order: Any
) -> Any:
    """Puts tasks first, by their numbers in Label Studio."""

    def run(*studio_ids: int, **options: Any) -> list[int]:
        return serve_first(database, linked, studio, version, order(*studio_ids), **options)

    return run


def test_the_tasks_come_before_all_others_in_their_order_and_keep_what_they_show(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    version: ModelVersion,
    served: Any,
    put: Any,
) -> None:
    before = served()
    shown = [studio.predictions(task)[0]["result"] for task in before]
    wanted = [before[5], before[3], before[0]]

    moved = put(*wanted)

    expected = wanted + [task for task in before if task not in wanted]
    assert (moved, served()) == (wanted, expected)
    assert [studio.predictions(task)[0]["result"] for task in before] == shown
    assert all(len(studio.predictions(task)) == 1 for task in before)
    with database.read() as session:
        head = queue_head(session, linked.id, version_id=version.id, limit=6)
        second = find_task(session, linked.id, studio_id=wanted[1])
        logged = latest_choice(session, second.id) if second else None
    assert [row["task"] for row in head] == expected
    assert logged is not None
    assert (logged.strategy, logged.choice.rank, logged.seed) == ("joint_rank", 1, 7)


def test_who_comes_last_comes_first_and_again_is_the_same(served: Any, put: Any) -> None:
    before = served()
    put(before[2])
    for _ in range(2):
        put(before[4], before[5])

    assert served()[:4] == [before[4], before[5], before[2], before[0]]


def test_all_tasks_at_once_stay_between_nothing_and_one(served: Any, put: Any) -> None:
    wanted = served()[::-1]

    put(*wanted)

    assert served() == wanted


def test_a_task_without_a_prediction_there_is_left_out(
    studio: FakeStudio, served: Any, put: Any
) -> None:
    first, second, *_ = served()
    studio.delete_prediction(studio.predictions(second)[0]["id"])

    assert put(second, first) == [first]


def test_a_project_that_is_not_connected_is_told_what_to_do(
    database: Database, project: Project, studio: FakeStudio, version: ModelVersion, order: Any
) -> None:
    with pytest.raises(ConfigError, match="annotator connect"):
        serve_first(database, project, studio, version, order())


def test_what_was_moved_before_label_studio_went_away_can_be_moved_again(
    served: Any, put: Any
) -> None:
    wanted = served()[:2:-1]

    def go_away(done: int, _total: int) -> None:
        if done == 2:
            raise StudioError("it is gone")

    with pytest.raises(StudioError):
        put(*wanted, on_progress=go_away)
    put(*wanted)

    assert served()[:3] == wanted
