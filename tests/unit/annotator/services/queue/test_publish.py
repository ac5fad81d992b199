from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import RASH, make_annotation, make_document
from fake_studio import FakeStudio, make_region
from publish_world import QUEUE
from run_world import register

from annotator.errors import ConfigError
from annotator.model import Predictor
from annotator.services.intake.documents import ingest_documents, store_document
from annotator.services.queue import publish
from annotator.services.queue.order import order_tasks
from annotator.services.queue.publish import (
    publish_version,
    push_order,
)
from annotator.services.queue.score import labelled_embeddings, score_open_tasks
from annotator.services.sync.predictions import open_target
from annotator.services.sync.upload import upload_tasks
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.documents import hash_text
from annotator.store.gold import count_gold
from annotator.store.lead_times import fitted_costs
from annotator.store.projects import Project
from annotator.store.selections import latest_choice, queue_head
from annotator.store.tasks import find_task
from annotator.store.versions import ModelVersion, get_version, predictions_for
from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction


def test_open_tasks_get_valid_predictions_in_order_and_the_version_is_selected(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)

    report = push()

    assert (report.n_open, report.n_pushed, report.selected) == (4, 4, True)
    assert studio.model_version == "ward-1"
    items = studio.pushes[0]
    assert sorted(item["score"] for item in items) == [item["score"] for item in items]
    config = parse_config(studio.config_xml)
    texts = {task["id"]: task["data"]["text"] for task in studio.tasks(1)}
    problems = [
        validate_prediction(item, text=texts[item["task"]], config=config) for item in items
    ]
    assert problems == [[]] * 4
    assert any(item["result"] for item in items)


def test_publishing_again_does_what_is_left(
    database: Database, pool: Project, studio: FakeStudio, push: Any, pull: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()
    studio.add_task(text="One more note about aspirin.")
    pull()

    again = push()
    nothing = push()

    assert (again.n_pushed, nothing.n_pushed) == (1, 0)
    assert [len(one) for one in studio.pushes] == [4, 1]


def test_a_version_that_was_pushed_and_not_selected_is_selected(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()
    studio.model_version = "an older one"

    assert push().selected
    assert studio.model_version == "ward-1"


def test_a_push_that_was_killed_before_it_was_noted_leaves_no_doubles(
    database: Database, pool: Project, studio: FakeStudio, push: Any, monkeypatch: Any
) -> None:
    upload_tasks(database, pool, studio)

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    send = studio.push_predictions
    with monkeypatch.context() as patch:
        patch.setattr(studio, "push_predictions", lambda *a: send(*a) and die())
        with pytest.raises(KeyboardInterrupt):
            push()

    push()

    counts = [len(studio.predictions(task_id)) for task_id in studio.task_ids(1)]
    assert counts == [1, 1, 1, 1]


@pytest.mark.parametrize(
    "step", ["refresh_costs", "note_learning", "order_tasks", "record_pushes", "has_pushes"]
)
def test_a_publish_that_was_killed_before_any_step_is_finished_by_the_next(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    version: ModelVersion,
    push: Any,
    monkeypatch: Any,
    step: str,
) -> None:
    upload_tasks(database, pool, studio)

    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publish, step, die)
        with pytest.raises(KeyboardInterrupt):
            push()
    push()

    predictions = {task_id: studio.predictions(task_id) for task_id in studio.task_ids(1)}
    assert [len(found) for found in predictions.values()] == [1, 1, 1, 1]
    by_score = sorted(predictions, key=lambda task_id: predictions[task_id][0]["score"])
    with database.read() as session:
        head = queue_head(session, pool.id, version_id=version.id, limit=9)
    assert [(row["task"], row["reason"] is not None) for row in head] == [
        (task_id, True) for task_id in by_score
    ]
    assert studio.model_version == "ward-1"


def test_each_step_done_again_alone_finds_its_work_done(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    version: ModelVersion,
    predictor: Predictor,
) -> None:
    upload_tasks(database, pool, studio)
    target = open_target(database, pool, studio)
    none = np.zeros((0, 0), dtype=np.float32)

    def score() -> int:
        return score_open_tasks(
            database, pool.id, version, lambda: predictor, strategy="mnlp", labelled=none
        )

    scored = [score(), score()]
    orders = [
        order_tasks(database, pool.id, version.id, labelled=none, settings=QUEUE) for _ in range(2)
    ]
    pushed = [push_order(database, pool.id, studio, target, version, order) for order in orders]

    assert (scored, pushed) == ([4, 0], [4, 0])
    assert orders[0].task_ids.tolist() == orders[1].task_ids.tolist()
    assert len(studio.pushes) == 1


def test_labelled_tasks_get_no_prediction(
    database: Database, pool: Project, studio: FakeStudio, push: Any, pull: Any
) -> None:
    upload_tasks(database, pool, studio)
    text = "Aspirin induced severe rash ."
    studio.annotate(1, [make_region("a", 0, 7, "Drug", text=text)])
    pull()

    assert push().n_pushed == 3
    with database.read() as session:
        assert count_gold(session, pool.id)["train"] == 1


def test_the_order_is_compared_with_the_sentences_that_are_labelled(
    database: Database, pool: Project, version: ModelVersion, predictor: Predictor
) -> None:
    ingest_documents(
        database, pool.id, [make_document("gold")], role="gold", holdout_share=0.0, seed=1
    )

    anchors = labelled_embeddings(database, pool.id, version.id, lambda: predictor)

    with database.read() as session:
        (stored,) = predictions_for(session, version.id, [hash_text(RASH)]).values()
    assert anchors.astype(np.float16).tobytes() == stored.embedding


def test_the_model_is_not_loaded_where_there_is_nothing_to_predict(
    database: Database, pool: Project, studio: FakeStudio, version: ModelVersion, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()

    def load() -> Predictor:
        raise AssertionError("the model was loaded")

    report = publish_version(database, pool, studio, version, load, queue=QUEUE)

    assert (report.n_pushed, report.selected) == (0, True)


def test_a_push_says_why_each_task_stands_where_it_stands(
    database: Database, pool: Project, studio: FakeStudio, push: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(publish, "_PUSH_CHUNK", 3)
    upload_tasks(database, pool, studio)
    push()

    assert [len(one) for one in studio.pushes] == [3, 1]
    with database.read() as session:
        tasks = [find_task(session, pool.id, studio_id=i + 1) for i in range(4)]
        logged = [latest_choice(session, task.id) for task in tasks]
    by_score = [item["task"] for one in studio.pushes for item in one]
    by_rank = [i + 1 for i in sorted(range(4), key=lambda i: logged[i].choice.rank)]
    assert by_rank == by_score
    assert {(one.version, one.strategy, one.n_pool) for one in logged} == {("ward-1", "mnlp", 4)}


def test_a_version_is_compared_with_the_one_before_once_the_pool_is_scored(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    push: Any,
    predictor: Predictor,
    tiny_model: Path,
) -> None:
    upload_tasks(database, pool, studio)
    push()
    second = register(database, pool, tiny_model, name="ward-2")

    publish_version(database, pool, studio, second, lambda: predictor, queue=QUEUE)

    with database.read() as session:
        found = get_version(session, pool.id, "ward-2").metrics
    assert (found["unlabelled"]["against"], found["unlabelled"]["n_sentences"]) == ("ward-1", 4)
    assert found["unlabelled"]["tags"] == 1.0  # the weights are the same
    assert found["queue"]["advice"]["state"] == "unknown"


def test_a_project_that_is_not_connected_cannot_publish(
    database: Database, project: Project, studio: FakeStudio
) -> None:
    with pytest.raises(ConfigError, match="annotator connect"):
        upload_tasks(database, project, studio)


def test_figures_of_what_a_label_costs_are_fitted_where_an_order_is_made(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    with database.write() as session:
        document = make_document("timed")
        timed, _, _ = store_document(session, pool.id, document, split="train")
        for i in range(200):
            record_annotation(
                session,
                make_annotation(pool.id, timed, external_id=f"{1000 + i}", lead_time_s=3.0 + i % 2),
            )

    push()

    with database.read() as session:
        fitted = fitted_costs(session, pool.id)
    assert fitted is not None
    assert (fitted["n_timed"], fitted["median_s"]) == (200, 3.5)
