"""The order of tasks: stored utilities, a strategy, and a random share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from annotator.active import (
    Candidate,
    compose_batch,
    get_strategy,
    percentile_ranks,
    prefilter,
)
from annotator.active.spread import spread_order
from annotator.store.database import Database
from annotator.store.gold import newest_gold_sentences, newest_gold_texts
from annotator.store.pool import PoolTasks, pool_tasks, task_embeddings, task_texts
from annotator.store.selections import Choice
from annotator.text.duplicates import find_repeats

__all__ = [
    "QueueSettings",
    "TaskOrder",
    "candidates_of",
    "order_tasks",
    "repeats_among",
    "scores_among",
    "warmup_left",
]

_LOOKED_AT = 2000  # places without repeated texts; more than are labelled under one model
_SPREAD = 2000  # tasks that are clustered while few are labelled
_LABELLED = 1000  # texts, the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """How the queue is made; see the settings of the same names."""

    strategy: str
    batch: int
    random_share: float
    per_document: int
    seed: int
    warmup: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """Tasks in the order in which they are to be shown, with the values to log.

    A place is a row; ``reasons`` are warmup, strategy, random, holdout, rest or repeat. ``n_pool``
    counts the strategy's candidates, ``n_open`` all waiting tasks, ``n_unscored`` those of the
    examined ones that have no utility yet.
    """

    task_ids: NDArray[np.int64]
    reasons: Sequence[str]
    utilities: NDArray[np.float64]
    strategy: str
    seed: int
    n_pool: int
    n_open: int
    n_unscored: int

    def score(self, rank: int) -> float:
        """Return the score for the place in Label Studio: in (0, 1), lowest for the first."""
        return (rank + 0.5) / len(self.task_ids)

    def first(self, n: int) -> TaskOrder:
        """Return the order of the first ``n`` tasks."""
        return replace(
            self,
            task_ids=self.task_ids[:n],
            reasons=self.reasons[:n],
            utilities=self.utilities[:n],
        )

    def choice(self, rank: int) -> Choice:
        """Return the place as it is logged."""
        return Choice(
            task_id=int(self.task_ids[rank]),
            rank=rank,
            reason=self.reasons[rank],
            utility=float(self.utilities[rank]),
        )


def order_tasks(
    database: Database,
    project_id: int,
    version_id: int,
    *,
    labelled: NDArray[np.float32],
    settings: QueueSettings,
) -> TaskOrder:
    """Order all open tasks by the version's stored utilities. Changes nothing.

    Hold-out tasks are not candidates of the strategy: they are spread evenly over the queue, in
    random order. Memory is some 100 bytes per task; no text is read.
    """
    strategy = get_strategy(settings.strategy)
    rng = np.random.default_rng(settings.seed)
    with database.read() as session:
        tasks = pool_tasks(session, project_id, version_id=version_id, strategy=strategy.name)
    train = np.flatnonzero(~tasks.holdout)
    rows, reasons = _train_order(database, version_id, tasks, train, labelled, settings, rng)
    first = _warmup_rows(database, project_id, version_id, tasks.ids[train], settings, rng)
    later = ~np.isin(rows, first)
    rows = np.concatenate([first, rows[later]])
    reasons = ["warmup"] * len(first) + [reasons[i] for i in np.flatnonzero(later)]
    if settings.strategy != "random":
        rows, reasons = _repeats_last(database, project_id, tasks.ids[train], rows, reasons)
    mixed, is_holdout = _spread(train[rows], rng.permutation(np.flatnonzero(tasks.holdout)))
    told = iter(reasons)
    return TaskOrder(
        task_ids=tasks.ids[mixed],
        reasons=["holdout" if held else next(told) for held in is_holdout],
        utilities=np.nan_to_num(tasks.utilities[mixed]),
        strategy=strategy.name,
        seed=settings.seed,
        n_pool=len(train),
        n_open=len(tasks.ids),
        n_unscored=int(np.isnan(tasks.utilities).sum()),
    )


def scores_among(
    task_ids: NDArray[np.int64], pushed: Mapping[int, float], ranks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return scores in (0, 1) that put the tasks at ``ranks`` of an order among those pushed.

    Served by ascending score, each then stands at its rank, between the tasks pushed before, which
    keep their scores and their order.
    """
    waiting = np.zeros(len(task_ids), dtype=np.bool_)
    waiting[ranks] = True
    known = sorted(pushed[task_id] for task_id in task_ids[~waiting].tolist() if task_id in pushed)
    edges = np.array([0.0, *known, 1.0])
    before = np.minimum(ranks - np.arange(len(ranks)), len(known))  # pushed ones that come first
    _, first, n_in_gap = np.unique(before, return_index=True, return_counts=True)
    in_gap = np.arange(len(ranks)) - np.repeat(first, n_in_gap)
    share = (in_gap + 1) / (np.repeat(n_in_gap, n_in_gap) + 1)
    low, high = edges[before], edges[before + 1]
    return np.asarray(low + (high - low) * share, dtype=np.float64)


def warmup_left(database: Database, project_id: int, n: int) -> int:
    """Return how many of the first ``n`` sentences are still to be labelled."""
    if n == 0:
        return 0
    with database.read() as session:  # twice as many: several people may label one
        return max(0, n - len(newest_gold_sentences(session, project_id, limit=2 * n)))


def _warmup_rows(
    database: Database,
    project_id: int,
    version_id: int,
    ids: NDArray[np.int64],
    settings: QueueSettings,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return rows of ``ids`` that come first under any strategy while few are labelled.

    They are spread over clusters of a sample, as before the first model.
    """
    left = warmup_left(database, project_id, settings.warmup)
    if left == 0:
        return np.zeros(0, dtype=np.int64)
    sample = rng.permutation(len(ids))[:_SPREAD]
    with database.read() as session:
        found = task_embeddings(session, version_id, ids[sample].tolist())
    known = np.array([row for row in sample if int(ids[row]) in found], dtype=np.int64)
    if not len(known):
        return known
    embeddings = np.stack([found[int(ids[row])] for row in known])
    return known[spread_order(embeddings, left, rng=rng)[:left]]


def _train_order(
    database: Database,
    version_id: int,
    tasks: PoolTasks,
    train: NDArray[np.int64],
    labelled: NDArray[np.float32],
    settings: QueueSettings,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], list[str]]:
    """Order the strategy's candidates: rows of ``train``, and the reason for each."""
    if settings.strategy == "random":
        return rng.permutation(len(train)), ["random"] * len(train)
    scores = percentile_ranks(np.nan_to_num(tasks.utilities[train]))
    kept = prefilter(scores, settings.batch, rng=rng)
    ids, documents = tasks.ids[train], tasks.documents[train]

    def at_random() -> Iterator[Candidate]:
        for i in rng.permutation(len(train)):
            yield Candidate(id=int(ids[i]), utility=float(scores[i]), group=str(documents[i]))

    batch = compose_batch(
        candidates_of(database, version_id, ids[kept], documents[kept], scores[kept]),
        at_random(),
        min(settings.batch, len(train)),
        labelled=labelled,
        rng=rng,
        random_share=settings.random_share,
        per_group=settings.per_document,
    )
    head = np.searchsorted(ids, np.array([s.id for s in batch], dtype=np.int64))
    order = np.argsort(-scores, kind="stable")
    rest = order[~np.isin(order, head)]
    return np.concatenate([head, rest]), [s.reason for s in batch] + ["rest"] * len(rest)


def _repeats_last(
    database: Database,
    project_id: int,
    ids: NDArray[np.int64],
    rows: NDArray[np.int64],
    reasons: list[str],
) -> tuple[NDArray[np.int64], list[str]]:
    """Move what repeats a label or an earlier task from the first places to the last."""
    again = np.zeros(len(rows), dtype=np.bool_)
    again[:_LOOKED_AT] = repeats_among(database, project_id, ids[rows[:_LOOKED_AT]])
    told = [reason for reason, repeats in zip(reasons, again, strict=True) if not repeats]
    return np.concatenate([rows[~again], rows[again]]), told + ["repeat"] * int(again.sum())


def repeats_among(database: Database, project_id: int, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which tasks repeat what is labelled, or what an earlier task shows."""
    with database.read() as session:
        known = newest_gold_texts(session, project_id, limit=_LABELLED)
        texts = task_texts(session, ids.tolist())
    return find_repeats([texts.get(task_id, "") for task_id in ids.tolist()], known[::-1])


def candidates_of(
    database: Database,
    version_id: int,
    ids: NDArray[np.int64],
    documents: NDArray[np.int64],
    percentiles: NDArray[np.float64],
) -> list[Candidate]:
    """Attach to tasks that passed the pre-filter the embeddings of their text."""
    with database.read() as session:
        embeddings = task_embeddings(session, version_id, ids.tolist())
    return [
        Candidate(
            id=int(task_id),
            utility=float(p),
            group=str(document),
            embedding=embeddings.get(task_id),
        )
        for task_id, document, p in zip(ids.tolist(), documents, percentiles, strict=True)
    ]


def _spread(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Spread ``second`` evenly over ``first`` as ``interleave`` does; also mark which is which."""
    places = np.concatenate(
        [(np.arange(len(part)) + 0.5) / max(len(part), 1) for part in (first, second)]
    )
    order = np.argsort(places, kind="stable")
    return np.concatenate([first, second])[order], order >= len(first)
