"""modAL's ranked batches over stored scores: it queries, it never trains.

``teach`` and ``fit`` do not work with current scikit-learn and are not needed, because labels live
in SQL. modAL draws from NumPy's global generator, so a call runs under a seed and restores the
state. modAL imports scikit-learn and pandas, which take seconds to load, so it is imported on first
use.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ShapeError

__all__ = ["query_ranked"]


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    state = np.random.get_state()
    np.random.seed(int(rng.integers(2**32)))
    try:
        yield
    finally:
        np.random.set_state(state)


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
        scores: Utility in [0, 1]; NaN counts as 0. Shape ``(pool,)``.
        embeddings: L2-normalised sentence embeddings. Shape ``(pool, hidden)``.
        n: Number of rows to pick.
        labelled: Embeddings of sentences labelled before. Shape ``(labelled, hidden)``.
        rng: Source of the seed under which modAL runs.

    Returns:
        Row indices in the order they were picked, int64. Shape ``(min(n, pool),)``.

    Raises:
        ShapeError: if the shapes do not match.
    """
    if scores.ndim != 1:
        raise ShapeError(f"scores must be one-dimensional, found shape {scores.shape}")
    clean = np.clip(np.nan_to_num(scores.astype(np.float64), nan=0.0), 0.0, 1.0)
    n = min(n, len(clean))
    if embeddings.shape[0] != len(clean) or embeddings.ndim != 2:
        raise ShapeError(f"expected ({len(clean)}, hidden) embeddings, found {embeddings.shape}")
    if n == 0 or len(labelled) == 0 or len(clean) == n:
        return np.argsort(-clean, kind="stable")[:n]
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
