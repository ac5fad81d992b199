from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import RASH, TINY_CONFIG_XML, make_annotation, make_document, make_task
from fake_studio import FakeStudio, make_region
from run_world import register
from sqlalchemy import func, select
from tiny_bert import TINY_SCHEMA

from annotator.errors import ConfigError, StudioError
from annotator.model import Predictor
from annotator.services.intake.documents import ingest_documents, store_document
from annotator.services.queue import publish
from annotator.services.queue.order import QueueSettings, order_tasks
from annotator.services.queue.publish import (
    PublishReport,
    is_publish_due,
    publish_version,
    push_order,
)
from annotator.services.queue.score import labelled_embeddings, score_open_tasks
from annotator.services.reports.status import project_status
from annotator.services.sync import upload
from annotator.services.sync.predictions import open_target
from annotator.services.sync.upload import has_uploads, upload_tasks
from annotator.settings import Settings
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.documents import hash_text
from annotator.store.gold import count_gold
from annotator.store.lead_times import fitted_costs
from annotator.store.projects import Project
from annotator.store.pushes import forget_refusals
from annotator.store.selections import latest_choice, queue_head
from annotator.store.tasks import count_tasks, find_task, mark_tasks_deleted, task_by_id
from annotator.store.versions import ModelVersion, get_version, predictions_for
from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction
from db.tables import QueryLogRow

QUEUE = QueueSettings(strategy="mnlp", batch=5, random_share=0.2, per_document=3, seed=1)
TEXTS = (
    "Aspirin induced severe rash . Fever was treated with ibuprofen .",
    "The patient lives in paris. Nausea and pain after aspirin.",
)


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


@pytest.fixture
def pool(database: Database, linked: Project) -> Project:
    """Two documents of two sentences each, to be labelled."""
    documents = [make_document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    ingest_documents(database, linked.id, documents, role="pool", holdout_share=0.0, seed=1)
    return linked


@pytest.fixture
def version(database: Database, linked: Project, tiny_model: Path) -> ModelVersion:
    return register(database, linked, tiny_model, name="ward-1")


@pytest.fixture
def push(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    version: ModelVersion,
    predictor: Predictor,
) -> Any:
    """Publishes the version."""

    def run() -> PublishReport:
        return publish_version(database, pool, studio, version, lambda: predictor, queue=QUEUE)

    return run


# ------------------------------------------------------------------ tasks


def test_each_sentence_becomes_a_task_with_its_place_and_context(
    database: Database, pool: Project, studio: FakeStudio
) -> None:
    assert upload_tasks(database, pool, studio) == 4

    assert studio.imports[0][1] == {
        "text": "Fever was treated with ibuprofen .",
        "doc_id": "d0",
        "sent_start": 30,
        "before": "Aspirin induced severe rash .",
        "after": "",
    }
    assert upload_tasks(database, pool, studio) == 0
    assert not has_uploads(database, pool)


def test_the_text_goes_into_the_field_of_the_configuration(
    database: Database, linked: Project, studio: FakeStudio
) -> None:
    from factories import TINY_CONFIG_XML

    from annotator.store.projects import save_schema

    xml = TINY_CONFIG_XML.replace("$text", "$note")
    with database.write() as session:
        save_schema(session, linked.id, TINY_SCHEMA, config_xml=xml)
    ingest_documents(database, linked.id, [make_document()], role="pool", holdout_share=0.0, seed=1)

    upload_tasks(database, linked, studio)

    assert studio.imports[0][0]["note"] == RASH


def test_an_upload_that_was_killed_is_not_repeated_after_a_pull(
    database: Database, pool: Project, studio: FakeStudio, pull: Any, monkeypatch: Any
) -> None:
    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(upload, "add_tasks", die)
        with pytest.raises(KeyboardInterrupt):
            upload_tasks(database, pool, studio)
    pull()

    assert upload_tasks(database, pool, studio) == 0
    with database.read() as session:
        assert count_tasks(session, pool.id)["open"] == 4


def test_ids_that_label_studio_gives_again_do_not_confuse_an_upload(
    database: Database, pool: Project, studio: FakeStudio
) -> None:
    old = studio.add_task(text="An old task.")
    with database.write() as session:
        make_task(session, pool.id, studio_id=old, document=make_document("old", "An old task."))
        studio.delete_task(old)
        mark_tasks_deleted(session, pool.id, [old])

    assert upload_tasks(database, pool, studio) == 4
    assert [len(one) for one in studio.imports] == [1, 4]


# ------------------------------------------------------------------ predictions


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


def test_a_refused_prediction_is_set_aside_and_holds_up_nothing(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    settings: Settings,
    version: ModelVersion,
    push: Any,
) -> None:
    upload_tasks(database, pool, studio)
    studio.refused_tasks = {2}

    reports = [push(), push()]

    counts = {task_id: len(studio.predictions(task_id)) for task_id in studio.task_ids(1)}
    assert counts == {1: 1, 2: 0, 3: 1, 4: 1}
    assert [report.n_pushed for report in reports] == [3, 0]
    assert reports[0].selected
    assert not is_publish_due(database, pool, version)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(QueryLogRow)) == 1
    assert project_status(database, pool, settings)["label_studio"]["refused"] == [2]
    with database.write() as session:
        forget_refusals(session, pool.id)
    studio.refused_tasks = set()
    assert push().n_pushed == 1


def test_a_task_that_is_gone_from_label_studio_holds_up_nothing(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    studio.delete_task(3)

    assert push().n_pushed == 3
    assert push().n_pushed == 0


def test_refused_one_and_all_predictions_are_an_error(
    database: Database, pool: Project, studio: FakeStudio, push: Any
) -> None:
    upload_tasks(database, pool, studio)
    studio.refused_tasks = {1, 2, 3, 4}

    for _ in range(2):
        with pytest.raises(StudioError, match=r"refuses all 4 .*; run annotator connect again"):
            push()

    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(QueryLogRow)) == 0


def test_a_task_that_comes_after_the_scoring_waits_for_the_next_push(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    push: Any,
    pull: Any,
    monkeypatch: Any,
) -> None:
    upload_tasks(database, pool, studio)

    def order_late(*arguments: Any, **options: Any) -> Any:
        studio.add_task(text="One more note about aspirin.")
        pull()
        return order_tasks(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(publish, "order_tasks", order_late)
        first = push()

    assert (first.n_pushed, push().n_pushed) == (4, 1)


def test_tasks_that_come_late_stand_where_their_usefulness_puts_them(
    database: Database, pool: Project, studio: FakeStudio, push: Any, pull: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()
    late = {
        studio.add_task(text=f"One more note about drug {i} and its harm to number {i}.")
        for i in range(7)
    }
    pull()
    wanted: list[bool] = []

    def remember(*arguments: Any, **options: Any) -> Any:
        order = order_tasks(*arguments, **options)
        with database.read() as session:
            ids = [task_by_id(session, i).studio_id for i in order.task_ids.tolist()]
        wanted.extend(one in late for one in ids)
        return order

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "order_tasks", remember)
        push()

    scores = {i: studio.predictions(i)[0]["score"] for i in studio.task_ids(1)}
    served = [task_id in late for task_id in sorted(scores, key=scores.__getitem__)]
    assert served == wanted
    assert len(set(scores.values())) == len(scores)


def test_predictions_that_name_tags_of_a_former_configuration_are_replaced(
    database: Database, pool: Project, studio: FakeStudio, push: Any, pull: Any
) -> None:
    upload_tasks(database, pool, studio)
    push()
    before = {i: studio.predictions(i)[0]["score"] for i in studio.task_ids(1)}
    renamed = TINY_CONFIG_XML.replace('name="text" value', 'name="note" value')
    studio.configure(renamed.replace('toName="text"', 'toName="note"'))
    pull()

    push()

    found = {i: studio.predictions(i) for i in studio.task_ids(1)}
    regions = [r for (one,) in found.values() for r in one["result"] if r["type"] != "relation"]
    assert len(found) == len(before) == 4
    assert regions
    assert {region["to_name"] for region in regions} == {"note"}
    assert push().n_pushed == 0


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
