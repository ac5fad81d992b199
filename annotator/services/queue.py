"""The order in which tasks are shown: stored signals, a strategy, honest randomness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.active import Candidate, get_strategy, interleave, select_batch
from annotator.services.predict import task_confidence, to_text_sentences
from annotator.store.database import Database
from annotator.store.queries import Choice, log_selection
from annotator.store.tasks import OpenTask
from annotator.store.versions import StoredPrediction, save_acquisitions

__all__ = ["OrderedTask", "QueueSettings", "TaskOrder", "order_tasks", "record_order"]

_HARDEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How the queue is made; see the settings of the same names."""

    strategy: str
    batch: int
    random_share: float
    per_document: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedTask:
    """A task's place (0 is shown first), why, and the score that makes Label Studio keep it."""

    task: OpenTask
    rank: int
    reason: str
    utility: float
    score: float
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """An order of all open tasks, and what it takes to log it.

    ``utilities`` are by sentence id, ``n_pool`` counts the strategy's candidates.
    """

    tasks: Sequence[OrderedTask]
    strategy: str
    seed: int
    n_pool: int
    utilities: Mapping[int, float]


def order_tasks(
    *,
    tasks: Sequence[OpenTask],
    predictions: Mapping[str, StoredPrediction],
    labelled: NDArray[np.float64],
    settings: QueueSettings,
) -> TaskOrder:
    """Order open tasks. Changes nothing: see ``record_order``.

    A task is as useful as its three most useful sentences are on average. Hold-out tasks are no
    candidates of the strategy: they are spread evenly over the queue, in random order.

    Returns:
        All tasks, first to be shown first; ``score`` rises with the rank, strictly.
    """
    strategy = get_strategy(settings.strategy)
    rng = np.random.default_rng(settings.seed)
    by_sentence: dict[int, float] = {}
    candidates, values = [], dict[int, float]()
    for task in tasks:
        scored = [(s, strategy.score(predictions[s.text_hash].signals)) for s in task.sentences]
        by_sentence.update({s.id: utility for s, utility in scored})
        values[task.id] = _mean_of_top([utility for _, utility in scored])
        if task.split == "train":
            candidates.append(
                Candidate(
                    id=task.id,
                    utility=values[task.id],
                    group=task.document,
                    embedding=_embedding(task, predictions),
                )
            )
    chosen = select_batch(
        candidates,
        settings.batch,
        labelled=labelled,
        rng=rng,
        random_share=settings.random_share,
        per_group=settings.per_document,
        use_strategy=strategy.name != "random",
    )
    holdout = [t.id for t in tasks if t.split == "holdout"]
    order = interleave(
        [(c.id, c.reason) for c in chosen],
        [(int(i), "holdout") for i in rng.permutation(holdout)],
    )
    return TaskOrder(
        tasks=_ordered(tasks, order, values, predictions),
        strategy=strategy.name,
        seed=settings.seed,
        n_pool=len(candidates),
        utilities=by_sentence,
    )


def record_order(database: Database, project_id: int, order: TaskOrder, *, version_id: int) -> None:
    """Store the utilities and log why each task stands where it stands."""
    with database.write() as session:
        save_acquisitions(session, version_id, strategy=order.strategy, utilities=order.utilities)
        log_selection(
            session,
            project_id,
            version_id=version_id,
            strategy=order.strategy,
            seed=order.seed,
            n_pool=order.n_pool,
            choices=[
                Choice(task_id=o.task.id, rank=o.rank, reason=o.reason, utility=o.utility)
                for o in order.tasks
            ],
        )


def _ordered(
    tasks: Sequence[OpenTask],
    order: Sequence[tuple[int, str]],
    values: Mapping[int, float],
    predictions: Mapping[str, StoredPrediction],
) -> list[OrderedTask]:
    by_id = {task.id: task for task in tasks}
    return [
        OrderedTask(
            task=by_id[task_id],
            rank=rank,
            reason=reason,
            utility=values[task_id],
            score=(rank + 0.5) / len(order),
            confidence=task_confidence(
                to_text_sentences(by_id[task_id].sentences, region_start=0), predictions
            ),
        )
        for rank, (task_id, reason) in enumerate(order)
    ]


def _mean_of_top(values: Sequence[float]) -> float:
    top = sorted(values, reverse=True)[:_HARDEST]
    return sum(top) / len(top) if top else 0.0


def _embedding(
    task: OpenTask, predictions: Mapping[str, StoredPrediction]
) -> NDArray[np.float64] | None:
    if not task.sentences:
        return None
    rows = [
        np.frombuffer(predictions[s.text_hash].embedding, dtype=np.float16) for s in task.sentences
    ]
    mean: NDArray[np.float64] = np.mean(np.stack(rows).astype(np.float64), axis=0)
    norm = float(np.linalg.norm(mean))
    return mean / norm if norm > 0 else mean
