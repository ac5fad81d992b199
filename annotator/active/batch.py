"""The order of the queue: what the strategy wants, spread out, with honest randomness in it.

The first ``n`` places are a batch: stochastic pre-filter (Gumbel noise on the log score, Kirsch
et al., arXiv 2106.12059), then modAL's ranked batch on embeddings, a cap per document, and a
share of random picks. Everything behind the batch follows by utility, so that the stream never
runs dry. Hold-out tasks are no candidates: they are spread evenly at random over the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.active.pool import query_ranked, query_top

__all__ = ["Candidate", "Selection", "interleave", "select_batch"]

_PREFILTER = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A task that could be shown. ``utility`` of any scale; ``group`` is its document."""

    id: int
    utility: float
    group: str
    embedding: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A candidate's place and the reason: strategy, random or rest."""

    id: int
    reason: str


def percentile_ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Return mid-rank percentiles in (0, 1); ties share one. Shape in and out ``(n,)``."""
    n = len(values)
    if n == 0:
        return np.zeros(0)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    upto = np.cumsum(counts)
    middle = upto - (counts - 1) / 2.0 - 0.5  # mean rank of each tie group, from 0.5
    ranks: NDArray[Any] = middle[inverse] / n
    return ranks


def select_batch(
    candidates: Sequence[Candidate],
    n: int,
    *,
    labelled: NDArray[Any],
    rng: np.random.Generator,
    random_share: float,
    per_group: int,
    use_strategy: bool = True,
) -> list[Selection]:
    """Order all candidates, the first ``n`` of them as a batch.

    Args:
        candidates: Tasks that may be shown.
        n: Size of the batch.
        labelled: Embeddings of labelled sentences, ``(labelled, hidden)``; may be empty.
        rng: The only source of randomness.
        random_share: Share of the batch drawn at random from all candidates.
        per_group: Most tasks of one document in the batch (random ones included).
        use_strategy: False gives a plain random order (strategy ``random``).

    Returns:
        Every candidate once, best first.
    """
    if not candidates:
        return []
    ids = np.array([c.id for c in candidates])
    if not use_strategy:
        return [Selection(id=int(i), reason="random") for i in rng.permutation(ids)]
    scores = percentile_ranks(np.array([c.utility for c in candidates]))
    n = min(n, len(candidates))
    n_random = round(n * random_share)
    wanted = _strategy_order(candidates, scores, n, labelled=labelled, rng=rng)
    chosen, counts = _capped(wanted, n - n_random, candidates, per_group, {})
    taken = set(chosen)
    at_random = [int(i) for i in rng.permutation(len(candidates)) if int(i) not in taken]
    explored, _ = _capped(at_random, n_random, candidates, per_group, counts)
    batch = [(i, "strategy") for i in chosen] + [(i, "random") for i in explored]
    mixed = interleave(batch[: len(chosen)], batch[len(chosen) :])
    taken |= set(explored)
    order = query_top(scores, len(candidates), rng=rng)
    rest = [(int(i), "rest") for i in order if int(i) not in taken]
    return [Selection(id=int(ids[i]), reason=reason) for i, reason in mixed + rest]


def _strategy_order(
    candidates: Sequence[Candidate],
    scores: NDArray[Any],
    n: int,
    *,
    labelled: NDArray[Any],
    rng: np.random.Generator,
) -> list[int]:
    noisy = percentile_ranks(np.log(np.maximum(scores, 1e-9)) + rng.gumbel(size=len(scores)))
    kept = query_top(noisy, _PREFILTER * n, rng=rng)
    embedded = [candidates[i].embedding for i in kept]
    if any(e is None for e in embedded):
        return [int(i) for i in kept[np.argsort(-scores[kept], kind="stable")]]
    matrix = np.stack([e for e in embedded if e is not None])  # (kept, hidden)
    picked = query_ranked(scores[kept], matrix, min(2 * n, len(kept)), labelled=labelled, rng=rng)
    return [int(i) for i in kept[picked]]


def _capped(
    wanted: Sequence[int],
    n: int,
    candidates: Sequence[Candidate],
    per_group: int,
    counts: dict[str, int],
) -> tuple[list[int], dict[str, int]]:
    counts, chosen = dict(counts), list[int]()
    for i in wanted:
        if len(chosen) == n:
            break
        group = candidates[i].group
        if counts.get(group, 0) < per_group:
            counts[group] = counts.get(group, 0) + 1
            chosen.append(i)
    return chosen, counts


def interleave(
    first: Sequence[tuple[int, str]], second: Sequence[tuple[int, str]]
) -> list[tuple[int, str]]:
    """Spread ``second`` evenly over ``first``; both keep their order."""
    keyed = [((i + 0.5) / len(first), 0, item) for i, item in enumerate(first)]
    keyed += [((i + 0.5) / len(second), 1, item) for i, item in enumerate(second)]
    return [item for _, _, item in sorted(keyed, key=lambda k: k[:2])]
