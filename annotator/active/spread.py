"""The order of the first sentences, before any model: random, but spread over topics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["spread_order"]


def spread_order(
    embeddings: NDArray[Any], n: int, *, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Order all rows: first one of each of ``n`` clusters, then the rest; both at random.

    A cluster's row is the one nearest to its centre, so that outliers come late. k-means on
    encoder means, as in TypiClust (Hacohen et al. 2022, arXiv 2202.02794) and similar methods.
    There are never more clusters than rows.

    Args:
        embeddings: Shape ``(rows, H)``.
        n: Number of clusters.
        rng: The only source of randomness.

    Returns:
        Row numbers. Shape ``(rows,)``.
    """
    from sklearn.cluster import KMeans

    rows = len(embeddings)
    n = min(n, len(np.unique(embeddings, axis=0)) if rows else 0)
    if n < 1:
        return rng.permutation(rows).astype(np.int64)
    seed = int(rng.integers(2**31))
    found = KMeans(n_clusters=n, n_init=1, random_state=seed).fit(embeddings)
    distance = np.linalg.norm(embeddings - found.cluster_centers_[found.labels_], axis=1)
    by_distance = np.argsort(distance, kind="stable")
    _, first = np.unique(found.labels_[by_distance], return_index=True)
    central = by_distance[first]
    rest = np.setdiff1d(np.arange(rows), central)
    order = np.concatenate([rng.permutation(central), rng.permutation(rest)])
    return order.astype(np.int64)  # type: ignore[no-any-return]
