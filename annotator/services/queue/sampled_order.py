"""The next batch from a pool of any size, by keys: the amount read does not grow with the pool.

A small pool is ordered as a whole. From a large one some thousand open tasks are drawn uniformly,
by random ids. That suffices for all parts of a batch: the better of two uniform draws is a draw of
the pre-filter (``annotator.active.win_tournaments``), and the random share and the hold-out tasks
are uniform draws themselves. Percentile ranks are those within the sample, with a standard error
below 1 %; candidates are in the same order as by their ranks in the whole pool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from annotator.active import (
    PREFILTER,
    Candidate,
    compose_batch,
    get_strategy,
    interleave,
    percentile_ranks,
    win_tournaments,
)
from annotator.services.queue.order import (
    QueueSettings,
    TaskOrder,
    candidates_of,
    order_tasks,
    repeats_among,
    warmup_left,
)
from annotator.services.queue.score import labelled_embeddings, score_open_tasks
from annotator.store.database import Database
from annotator.store.pool import PoolTasks, open_range, pool_tasks
from annotator.store.versions import ModelVersion

if TYPE_CHECKING:
    from annotator.model import Predictor

__all__ = ["choose_next", "next_tasks"]

_WHOLE = 20_000  # open tasks; this many can all be read in a tenth of a second
_MIN_DRAWS = 4096
_SPARSE = 8  # ids per task; with more empty ones, drawing costs more than reading all


def next_tasks(
    database: Database,
    project_id: int,
    version: ModelVersion,
    predictor: Callable[[], Predictor],
    *,
    n: int,
    settings: QueueSettings,
) -> TaskOrder:
    """Choose the next ``n`` tasks; if one of the tasks met is not scored, score the pool first.

    ``predictor`` loads the model; it is called only if there is something to predict.
    """
    labelled = labelled_embeddings(database, project_id, version.id, predictor)

    def choose() -> TaskOrder:
        return choose_next(
            database, project_id, version.id, n=n, labelled=labelled, settings=settings
        )

    order = choose()
    if not order.n_unscored:
        return order
    score_open_tasks(
        database, project_id, version, predictor, strategy=settings.strategy, labelled=labelled
    )
    return choose()


def choose_next(
    database: Database,
    project_id: int,
    version_id: int,
    *,
    n: int,
    labelled: NDArray[np.float32],
    settings: QueueSettings,
) -> TaskOrder:
    """Choose the next ``n`` tasks by the version's stored utilities. Changes nothing.

    The same seed and the same pool give the same batch. For a large pool ``n_pool`` is an estimate.
    """
    with database.read() as session:
        n_open, least, greatest = open_range(session, project_id)
    is_small = n_open <= max(_WHOLE, 8 * PREFILTER * n) or greatest - least > _SPARSE * n_open
    if is_small or warmup_left(database, project_id, settings.warmup):
        order = order_tasks(database, project_id, version_id, labelled=labelled, settings=settings)
        return order.first(n)
    rng = np.random.default_rng(settings.seed)
    n_draws = max(_MIN_DRAWS, 8 * PREFILTER * n)
    n_ids = round(1.1 * n_draws * (greatest - least + 1) / n_open)
    drawn_ids = rng.integers(least, greatest + 1, size=n_ids)
    with database.read() as session:
        tasks = pool_tasks(
            session,
            project_id,
            version_id=version_id,
            strategy=get_strategy(settings.strategy).name,
            ids=np.unique(drawn_ids).tolist(),
        )
    draws = _Draws(tasks, drawn_ids)
    batch = _compose(database, project_id, version_id, draws, n, labelled, settings, rng)
    rows = np.searchsorted(tasks.ids, np.array([i for i, _ in batch], dtype=np.int64))
    return TaskOrder(
        task_ids=tasks.ids[rows],
        reasons=[reason for _, reason in batch],
        utilities=np.nan_to_num(tasks.utilities[rows]),
        strategy=settings.strategy,
        seed=settings.seed,
        n_pool=round(n_open * float(np.mean(~tasks.holdout))),
        n_open=n_open,
        n_unscored=int(np.isnan(tasks.utilities).sum()),
    )


class _Draws:
    """Uniform draws with replacement: rows of ``tasks``, in the order of drawing.

    Ids that belong to no open task are dropped: the rest is uniform over the open tasks.
    """

    def __init__(self, tasks: PoolTasks, drawn_ids: NDArray[np.int64]) -> None:
        rows = np.searchsorted(tasks.ids, drawn_ids)
        rows = rows[tasks.ids[np.minimum(rows, len(tasks.ids) - 1)] == drawn_ids]
        self.tasks = tasks
        self.holdout = rows[tasks.holdout[rows]]
        self.train = rows[~tasks.holdout[rows]]


def _compose(
    database: Database,
    project_id: int,
    version_id: int,
    draws: _Draws,
    n: int,
    labelled: NDArray[np.float32],
    settings: QueueSettings,
    rng: np.random.Generator,
) -> list[tuple[int, str]]:
    """Return the first ``n`` places as task ids and reasons."""
    ids, train = draws.tasks.ids, draws.train
    share = len(draws.holdout) / max(len(draws.holdout) + len(train), 1)
    held = [(int(ids[row]), "holdout") for row in _distinct(draws.holdout)[: round(share * n)]]
    n_train = n - len(held)
    if settings.strategy == "random":
        return interleave([(int(ids[row]), "random") for row in _distinct(train)[:n_train]], held)
    utilities = np.nan_to_num(draws.tasks.utilities[train])
    percentiles = percentile_ranks(utilities)
    half = len(train) // 4 * 2  # one half enters tournaments, the other is the random share
    won = win_tournaments(utilities[:half])
    _, first = np.unique(train[won], return_index=True)
    kept = won[np.sort(first)[: PREFILTER * n_train]]
    kept = kept[np.argsort(-utilities[kept], kind="stable")]
    kept = kept[~repeats_among(database, project_id, ids[train[kept]])]
    batch = compose_batch(
        candidates_of(
            database,
            version_id,
            ids[train[kept]],
            draws.tasks.documents[train[kept]],
            percentiles[kept],
        ),
        _as_candidates(draws.tasks, train[half:]),
        n_train,
        labelled=labelled,
        rng=rng,
        random_share=settings.random_share,
        per_group=settings.per_document,
    )
    return interleave([(s.id, s.reason) for s in batch], held)


def _as_candidates(tasks: PoolTasks, rows: NDArray[np.int64]) -> Iterator[Candidate]:
    for row in rows:
        yield Candidate(id=int(tasks.ids[row]), utility=0.0, group=str(tasks.documents[row]))


def _distinct(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    _, first = np.unique(rows, return_index=True)
    return rows[np.sort(first)]
