from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from factories import make_document, make_task
from tiny_bert import TINY_SCHEMA

from annotator.errors import ConfigError
from annotator.services.queue import QueueSettings, TaskOrder, order_tasks, record_order
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.queries import latest_choice
from annotator.store.runs import submit_run
from annotator.store.snapshots import take_snapshot
from annotator.store.tasks import OpenTask, open_tasks
from annotator.store.versions import StoredPrediction, add_version, utilities

N_TRAIN, N_HOLDOUT = 40, 10


@pytest.fixture
def tasks(database: Database, project: Project) -> list[OpenTask]:
    """Forty tasks of four documents and ten of the hold-out."""
    with database.write() as session:
        for i in range(N_TRAIN):
            text = " ".join(f"Patient {d} has a rash." for d in range(10))
            document = make_document(f"d{i // 10}", text)
            make_task(session, project.id, studio_id=i + 1, document=document, i_sentence=i % 10)
        for i in range(N_HOLDOUT):
            document = make_document(f"h{i}", f"Hold-out note {i}.")
            make_task(session, project.id, studio_id=100 + i, document=document, split="holdout")
        return open_tasks(session, project.id)


@pytest.fixture
def predictions(tasks: list[OpenTask]) -> dict[str, StoredPrediction]:
    rng = np.random.default_rng(1)
    return {
        sentence.text_hash: StoredPrediction(
            text_hash=sentence.text_hash,
            entities=[],
            relations=[],
            signals={"mnlp": float(rng.random())},
            embedding=rng.normal(size=4).astype(np.float16).tobytes(),
        )
        for task in tasks
        for sentence in task.sentences
    }


def order(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction], **fields: object
) -> TaskOrder:
    given = {"strategy": "mnlp", "batch": 20, "random_share": 0.2, "per_document": 3, "seed": 7}
    return order_tasks(
        tasks=tasks,
        predictions=predictions,
        labelled=np.random.default_rng(2).normal(size=(3, 4)),
        settings=QueueSettings(**{**given, **fields}),  # type: ignore[arg-type]
    )


def test_every_open_task_is_ordered_once_with_rising_scores(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    found = order(tasks, predictions).tasks

    assert sorted(o.task.id for o in found) == [t.id for t in tasks]
    assert [o.rank for o in found] == list(range(len(tasks)))
    scores = [o.score for o in found]
    assert all(a < b for a, b in pairwise(scores))
    assert 0 < scores[0] < scores[-1] < 1


def test_the_hold_out_is_spread_over_the_whole_queue(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    found = order(tasks, predictions).tasks

    ranks = [o.rank for o in found if o.reason == "holdout"]
    assert {o.task.split for o in found if o.reason == "holdout"} == {"holdout"}
    assert len(ranks) == N_HOLDOUT
    gaps = np.diff(ranks)
    assert (gaps.min(), gaps.max()) == (5, 5)


def test_the_hold_outs_order_has_nothing_to_do_with_the_model(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    holdout = {s.text_hash for t in tasks if t.split == "holdout" for s in t.sentences}
    other = {
        h: StoredPrediction(
            text_hash=h,
            entities=(),
            relations=(),
            signals={"mnlp": 9.0 if h in holdout else p.signals["mnlp"]},
            embedding=p.embedding,
        )
        for h, p in predictions.items()
    }

    before, after = order(tasks, predictions).tasks, order(tasks, other).tasks

    assert [o.task.id for o in before] == [o.task.id for o in after]


def test_no_document_fills_the_batch(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    batch = [o for o in order(tasks, predictions).tasks if o.reason in {"strategy", "random"}]

    per_document = {o.task.document: 0 for o in batch}
    assert len(batch) == 12  # four documents, three tasks of each
    assert all(sum(o.task.document == document for o in batch) == 3 for document in per_document)


def test_the_same_seed_gives_the_same_order(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    ids = [[o.task.id for o in order(tasks, predictions, seed=seed).tasks] for seed in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]


def test_one_document_without_sentences_is_ordered_too(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    from dataclasses import replace

    blank = replace(tasks[0], sentences=())

    found = order([blank, *tasks[1:3]], predictions).tasks

    assert {o.task.id for o in found} == {t.id for t in tasks[:3]}


def test_an_empty_pool_has_an_empty_order(predictions: dict[str, StoredPrediction]) -> None:
    assert order([], predictions).tasks == []


def test_an_unknown_strategy_is_refused(
    tasks: list[OpenTask], predictions: dict[str, StoredPrediction]
) -> None:
    with pytest.raises(ConfigError, match="no query strategy 'magic'"):
        order(tasks, predictions, strategy="magic")


def test_a_recorded_order_tells_why_each_task_stands_where_it_stands(
    database: Database,
    project: Project,
    tasks: list[OpenTask],
    predictions: dict[str, StoredPrediction],
) -> None:
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="test")
        snapshot = take_snapshot(session, project.id, schema=TINY_SCHEMA, members={}, n_sentences=0)
        version = add_version(
            session,
            project.id,
            name="v1",
            folder="x",
            sha256="0" * 64,
            run_id=run.id,
            snapshot_id=snapshot.id,
        )
    found = order(tasks, predictions)

    record_order(database, project.id, found, version_id=version.id)

    with database.read() as session:
        choices = [latest_choice(session, o.task.id) for o in found.tasks]
        stored = utilities(
            session, version.id, strategy="mnlp", sentence_ids=[s.id for s in tasks[0].sentences]
        )
    assert [c.choice.rank for c in choices] == list(range(len(tasks)))
    assert {(c.version, c.strategy, c.seed, c.n_pool) for c in choices} == {
        ("v1", "mnlp", 7, N_TRAIN)
    }
    assert stored == {
        s.id: pytest.approx(predictions[s.text_hash].signals["mnlp"]) for s in tasks[0].sentences
    }
