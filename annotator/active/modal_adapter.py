"""modAL over stored scores: it queries, it never trains.

Only ``ActiveLearner.query`` and ``modAL.batch.ranked_batch`` are used; ``teach`` and ``fit`` do
not work with current scikit-learn and have no place here, for labels live in SQL. modAL draws
from NumPy's global generator, so each call runs under a seed and the state is put back. It
brings scikit-learn and pandas, which take seconds to load, so it is imported where it is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ShapeError

__all__ = ["query_ranked", "query_top"]


class _ScoreTable:
    """The estimator that modAL asks: row ids in, stored scores out."""

    classes_ = np.array([0, 1])

    def __init__(self, scores: NDArray[Any]) -> None:
        self.scores = scores

    def predict_proba(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return (rows, 2): how sure and how unsure. ``rows``: (rows, 1) indices."""
        unsure = self.scores[np.asarray(rows)[:, 0].astype(int)]
        return np.stack([1.0 - unsure, unsure], axis=1)  # (rows, 2)


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(state)


def _check(scores: NDArray[Any], n: int) -> tuple[NDArray[Any], int]:
    if scores.ndim != 1:
        raise ShapeError(f"scores must be one-dimensional, found shape {scores.shape}")
    clean = np.clip(np.nan_to_num(scores.astype(np.float64), nan=0.0), 0.0, 1.0)
    return clean, min(n, len(clean))


def query_top(scores: NDArray[Any], n: int, *, rng: np.random.Generator) -> NDArray[Any]:
    """Return the ``n`` rows of largest score, best first.

    Args:
        scores: Utility of each row in [0, 1]; NaN counts as 0. Shape ``(pool,)``.
        n: How many; at most the pool is returned.
        rng: Source of the seed under which modAL runs.

    Returns:
        Row indices, int64. Shape ``(min(n, pool),)``.
    """
    clean, n = _check(scores, n)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    from modAL.models import ActiveLearner
    from modAL.utils.selection import multi_argmax

    def strategy(learner: Any, rows: NDArray[Any], n_instances: int) -> tuple[Any, Any]:
        unsure = learner.estimator.predict_proba(rows)[:, 1]
        chosen, _ = multi_argmax(unsure, n_instances=n_instances)
        return chosen, unsure[chosen]

    learner = ActiveLearner(estimator=_ScoreTable(clean), query_strategy=strategy)
    rows = np.arange(len(clean)).reshape(-1, 1)
    with _seeded(rng):
        chosen, _ = learner.query(rows, n_instances=n)
    chosen = np.asarray(chosen, dtype=np.int64)
    return chosen[np.argsort(-clean[chosen], kind="stable")]


def query_ranked(
    scores: NDArray[Any],
    embeddings: NDArray[Any],
    n: int,
    *,
    labelled: NDArray[Any],
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Return ``n`` rows that are useful and unlike each other (modAL's ranked batch).

    Cardoso et al. 2017, "Ranked batch-mode active learning". The pool must be pre-filtered:
    modAL weighs usefulness by labelled / (labelled + pool).

    Args:
        scores: Utility in [0, 1]. Shape ``(pool,)``.
        embeddings: L2-normalised sentence embeddings. Shape ``(pool, hidden)``.
        n: How many.
        labelled: Embeddings of sentences labelled before. Shape ``(labelled, hidden)``.
        rng: Source of the seed under which modAL runs.

    Returns:
        Row indices in the order they were picked, int64. Shape ``(min(n, pool),)``.

    Raises:
        ShapeError: if the shapes do not belong together.
    """
    clean, n = _check(scores, n)
    if embeddings.shape[0] != len(clean) or embeddings.ndim != 2:
        raise ShapeError(f"expected ({len(clean)}, hidden) embeddings, found {embeddings.shape}")
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    if len(labelled) == 0 or len(clean) == n:
        return query_top(scores, n, rng=rng)
    from modAL.batch import ranked_batch

    stub = SimpleNamespace(X_training=labelled.astype(np.float32), on_transformed=False)
    with _seeded(rng):
        chosen, _ = ranked_batch(
            stub,
            unlabeled=embeddings.astype(np.float32),
            uncertainty_scores=clean,
            n_instances=n,
            metric="cosine",
            n_jobs=None,
        )
    return np.asarray(chosen, dtype=np.int64)
