from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from factories import make_annotation, make_document, make_task
from tiny_bert import TINY_SCHEMA

from annotator.errors import ConfigError
from annotator.services.intake.documents import store_document
from annotator.services.queue import sampled_order
from annotator.services.queue.order import QueueSettings, TaskOrder, order_tasks, warmup_left
from annotator.services.queue.sampled_order import choose_next
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import submit_run
from annotator.store.snapshots import take_snapshot
from annotator.store.tasks import OpenTask, open_tasks
from annotator.store.versions import (
    StoredPrediction,
    add_version,
    save_acquisitions,
    save_predictions,
)

N_TRAIN, N_HOLDOUT = 40, 10
Order = Callable[..., TaskOrder]


@pytest.fixture
def version_id(database: Database, project: Project) -> int:
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
    return version.id


@pytest.fixture
def tasks(database: Database, project: Project, version_id: int) -> dict[int, OpenTask]:
    """Forty tasks of four documents and ten of the hold-out, all scored."""
    rng = np.random.default_rng(1)
    with database.write() as session:
        for i in range(N_TRAIN):
            text = " ".join(f"Patient {d} of ward {i // 10} has a rash." for d in range(10))
            document = make_document(f"d{i // 10}", text)
            make_task(session, project.id, studio_id=i + 1, document=document, i_sentence=i % 10)
        for i in range(N_HOLDOUT):
            document = make_document(f"h{i}", f"Hold-out note {i}.")
            make_task(session, project.id, studio_id=100 + i, document=document, split="holdout")
        found = open_tasks(session, project.id)
        shown = [s for task in found for s in task.sentences]
        save_predictions(
            session, version_id, [make_prediction(h, rng) for h in {s.text_hash for s in shown}]
        )
        save_acquisitions(
            session,
            version_id,
            strategy="mnlp",
            utilities={s.id: float(rng.random()) for s in shown},
        )
    return {task.id: task for task in found}


def make_prediction(text_hash: str, rng: np.random.Generator) -> StoredPrediction:
    embedding = rng.normal(size=4).astype(np.float16).tobytes()
    return StoredPrediction(
        text_hash=text_hash, entities=[], relations=[], signals={}, embedding=embedding
    )


@pytest.fixture
def order(
    database: Database, project: Project, version_id: int, tasks: dict[int, OpenTask]
) -> Order:
    """Orders all tasks, or chooses the first ``n``."""

    def run(n: int | None = None, **fields: object) -> TaskOrder:
        given = {"strategy": "mnlp", "batch": 20, "random_share": 0.2, "per_document": 3, "seed": 7}
        settings = QueueSettings(**{**given, **fields})  # type: ignore[arg-type]
        labelled = np.random.default_rng(2).normal(size=(3, 4)).astype(np.float32)
        if n is None:
            return order_tasks(
                database, project.id, version_id, labelled=labelled, settings=settings
            )
        return choose_next(
            database, project.id, version_id, n=n, labelled=labelled, settings=settings
        )

    return run


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes forty tasks a pool that is too large to be read."""
    monkeypatch.setattr(sampled_order, "_WHOLE", 1)
    monkeypatch.setattr(sampled_order, "PREFILTER", 1)


def test_every_open_task_is_ordered_once_with_rising_scores(
    order: Order, tasks: dict[int, OpenTask]
) -> None:
    found = order()

    assert sorted(found.task_ids.tolist()) == sorted(tasks)
    assert (found.n_open, found.n_pool, found.n_unscored) == (N_TRAIN + N_HOLDOUT, N_TRAIN, 0)
    scores = [found.score(rank) for rank in range(len(tasks))]
    assert all(a < b for a, b in pairwise(scores))
    assert 0 < scores[0] < scores[-1] < 1


def test_behind_the_batch_the_rest_follows_by_utility(order: Order) -> None:
    found = order()

    rest = [u for u, r in zip(found.utilities, found.reasons, strict=True) if r == "rest"]
    assert len(rest) > 10
    assert rest == sorted(rest, reverse=True)


def repeat_tasks(database: Database, project: Project, version_id: int) -> list[int]:
    """Three tasks: one repeats a label, the useful one of the others repeats the less useful."""
    said = "The patient was given aspirin for a headache that began in {}"
    rng = np.random.default_rng(3)
    with database.write() as session:
        known = make_document("known", said.format("Monday"))
        document_id, _, _ = store_document(session, project.id, known, split="train")
        record_annotation(
            session, make_annotation(project.id, document_id, region=(0, len(known.text)))
        )
        for i, text in enumerate(
            (said.format("Tuesday"), "No fever at all .", "no  fever at all .", "Quite well .")
        ):
            make_task(session, project.id, studio_id=i + 1, document=make_document(f"n{i}", text))
        found = open_tasks(session, project.id)
        shown = [task.sentences[0] for task in found]
        save_predictions(session, version_id, [make_prediction(s.text_hash, rng) for s in shown])
        values = {s.id: value for s, value in zip(shown, (0.9, 0.5, 0.6, 0.1), strict=True)}
        save_acquisitions(session, version_id, strategy="mnlp", utilities=values)
    return [task.id for task in found]


@pytest.mark.parametrize("is_large", [False, True])
def test_what_repeats_a_label_or_a_task_before_it_comes_last(
    database: Database,
    project: Project,
    version_id: int,
    monkeypatch: pytest.MonkeyPatch,
    is_large: bool,
) -> None:
    like_a_label, again, first, other = repeat_tasks(database, project, version_id)
    if is_large:
        monkeypatch.setattr(sampled_order, "_WHOLE", 0)
        monkeypatch.setattr(sampled_order, "PREFILTER", 1)
    settings = QueueSettings(strategy="mnlp", batch=2, random_share=0.0, per_document=9, seed=7)
    labelled = np.ones((1, 4), dtype=np.float32)

    found = choose_next(database, project.id, version_id, n=2, labelled=labelled, settings=settings)
    whole = order_tasks(database, project.id, version_id, labelled=labelled, settings=settings)

    places = dict(zip(whole.task_ids.tolist(), whole.reasons, strict=True))
    assert places[like_a_label] == "repeat"
    assert sorted(places[i] == "repeat" for i in (again, first)) == [False, True]
    assert [reason == "repeat" for reason in whole.reasons] == [False, False, True, True]
    assert set(found.task_ids.tolist()) in ({first, other}, {again, other})


def test_random_order_keeps_what_repeats(
    database: Database, project: Project, version_id: int
) -> None:
    repeat_tasks(database, project, version_id)
    settings = QueueSettings(strategy="random", batch=2, random_share=0.0, per_document=9, seed=7)

    found = order_tasks(
        database, project.id, version_id, labelled=np.zeros((0, 0)), settings=settings
    )

    assert found.reasons == ["random"] * 4


def test_the_hold_out_is_spread_over_the_whole_queue(
    order: Order, tasks: dict[int, OpenTask]
) -> None:
    found = order()

    ranks = [rank for rank, reason in enumerate(found.reasons) if reason == "holdout"]
    assert {tasks[int(found.task_ids[rank])].split for rank in ranks} == {"holdout"}
    assert len(ranks) == N_HOLDOUT
    gaps = np.diff(ranks)
    assert (gaps.min(), gaps.max()) == (5, 5)


def test_the_hold_outs_order_has_nothing_to_do_with_the_model(
    database: Database, order: Order, tasks: dict[int, OpenTask], version_id: int
) -> None:
    before = order()
    held = [s.id for t in tasks.values() if t.split == "holdout" for s in t.sentences]
    with database.write() as session:
        save_acquisitions(session, version_id, strategy="mnlp", utilities=dict.fromkeys(held, 9.0))

    after = order()

    assert before.task_ids.tolist() == after.task_ids.tolist()


def test_no_document_fills_the_batch(order: Order, tasks: dict[int, OpenTask]) -> None:
    found = order()

    batch = [
        tasks[int(task_id)].document
        for task_id, reason in zip(found.task_ids, found.reasons, strict=True)
        if reason in {"strategy", "random"}
    ]
    assert {name: batch.count(name) for name in batch} == {f"d{i}": 3 for i in range(4)}


def test_the_same_seed_gives_the_same_order(order: Order) -> None:
    ids = [order(seed=seed).task_ids.tolist() for seed in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]


def test_a_document_task_is_as_useful_as_its_three_most_useful_sentences(
    database: Database, project: Project, version_id: int, order: Order
) -> None:
    text = " ".join(f"Whole note {i}." for i in range(5))
    with database.write() as session:
        whole = make_task(
            session, project.id, studio_id=200, document=make_document("w", text), i_sentence=None
        )
        (task,) = open_tasks(session, project.id, task_ids=[whole])
        values = {s.id: 10.0 * i for i, s in enumerate(task.sentences)}
        save_acquisitions(session, version_id, strategy="mnlp", utilities=values)

    found = order()

    assert found.utilities[found.task_ids.tolist().index(whole)] == pytest.approx(30.0)


def test_one_document_without_sentences_is_ordered_too(
    database: Database, project: Project, order: Order
) -> None:
    with database.write() as session:
        blank = make_task(
            session, project.id, studio_id=200, document=make_document("b", " "), i_sentence=None
        )

    found = order()

    assert blank in found.task_ids.tolist()
    assert found.n_unscored == 0


def test_an_empty_pool_has_an_empty_order(
    database: Database, project: Project, version_id: int
) -> None:
    settings = QueueSettings(strategy="mnlp", batch=5, random_share=0.2, per_document=3, seed=1)
    nothing = np.zeros((0, 0), dtype=np.float32)

    found = order_tasks(database, project.id, version_id, labelled=nothing, settings=settings)

    assert found.task_ids.tolist() == found.reasons == []


def test_an_unknown_strategy_is_refused(order: Order) -> None:
    with pytest.raises(ConfigError, match="no query strategy 'magic'"):
        order(strategy="magic")


# ------------------------------------------------------------------ the next batch


def test_the_next_tasks_of_a_small_pool_are_the_first_of_its_order(order: Order) -> None:
    assert order(12).task_ids.tolist() == order().task_ids.tolist()[:12]


@pytest.mark.usefixtures("large")
def test_the_sampled_order_of_a_large_pool_has_all_that_a_batch_has(
    order: Order, tasks: dict[int, OpenTask]
) -> None:
    found = order(6, random_share=0.4)

    ids = found.task_ids.tolist()
    assert len(ids) == len(set(ids)) == 6
    held = [i for i, r in zip(ids, found.reasons, strict=True) if r == "holdout"]
    assert {tasks[i].split for i in held} == {"holdout"}
    assert len(held) == round(6 * N_HOLDOUT / (N_TRAIN + N_HOLDOUT))
    assert {"strategy", "random"} < set(found.reasons)
    documents = [tasks[i].document for i in ids if i not in held]
    assert max(documents.count(name) for name in documents) <= 3
    assert (found.n_open, found.n_pool) == (N_TRAIN + N_HOLDOUT, N_TRAIN)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("strategy", ["mnlp", "random"])
def test_the_same_seed_gives_the_same_batch(order: Order, strategy: str) -> None:
    ids = [order(6, seed=seed, strategy=strategy).task_ids.tolist() for seed in (1, 1, 2)]

    assert ids[0] == ids[1] != ids[2]


@pytest.mark.usefixtures("large")
def test_the_batch_of_a_large_pool_prefers_the_useful(
    database: Database, order: Order, tasks: dict[int, OpenTask], version_id: int
) -> None:
    useful = [t.id for t in tasks.values() if t.split == "train"][::4]
    values = {s.id: float(t.id in useful) for t in tasks.values() for s in t.sentences}
    with database.write() as session:
        save_acquisitions(session, version_id, strategy="mnlp", utilities=values)

    found = [order(4, seed=seed, random_share=0.0) for seed in range(30)]

    chosen = [
        i
        for one in found
        for i, reason in zip(one.task_ids.tolist(), one.reasons, strict=True)
        if reason == "strategy"
    ]
    assert np.mean([i in useful for i in chosen]) > 0.35  # a quarter of the pool


@pytest.mark.usefixtures("large")
def test_tasks_that_are_not_scored_are_noticed(
    database: Database, project: Project, order: Order
) -> None:
    with database.write() as session:
        make_task(session, project.id, studio_id=300, document=make_document("x", "New here."))

    assert order(5).n_unscored == 1


# ------------------------------------------------------------------ while few are labelled


@pytest.mark.parametrize("strategy", ["mnlp", "random"])
def test_the_warm_up_comes_first_whatever_the_strategy(order: Order, strategy: str) -> None:
    ordered = order(strategy=strategy, warmup=6)

    train = [reason for reason in ordered.reasons if reason != "holdout"]
    assert train[:6] == ["warmup"] * 6
    assert "warmup" not in train[6:]
    assert len(set(ordered.task_ids.tolist())) == N_TRAIN + N_HOLDOUT


def test_what_is_labelled_shortens_the_warm_up(
    database: Database, project: Project, tasks: dict[int, OpenTask], order: Order
) -> None:
    labelled = [task for task in tasks.values() if task.split == "train"][:4]
    with database.write() as session:
        for i, task in enumerate(labelled):
            decided = make_annotation(
                project.id,
                task.document_id,
                task_id=task.id,
                external_id=str(i),
                region=task.region,
                entities=(),
                relations=(),
            )
            record_annotation(session, decided)

    assert [warmup_left(database, project.id, n) for n in (6, 4, 0)] == [2, 0, 0]
    assert "warmup" in order(warmup=6).reasons
    assert "warmup" not in order(warmup=4).reasons


@pytest.mark.usefixtures("large")
def test_the_next_tasks_of_a_large_pool_are_of_the_warm_up_too(order: Order) -> None:
    reasons = [reason for reason in order(5, warmup=8).reasons if reason != "holdout"]

    assert set(reasons) == {"warmup"}
