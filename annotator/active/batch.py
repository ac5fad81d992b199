"""The order of the queue: what the strategy prefers, diversified, with a random share.

The first ``n`` places are a batch: stochastic pre-filter (Gumbel noise on the log score, Kirsch
et al., arXiv 2106.12059), then modAL's ranked batch on embeddings, a cap per document, and a
share of random picks. The rest follows by utility, so that the label stream never runs dry.
Hold-out tasks are not candidates: they are spread evenly at random over the whole queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from annotator.active.modal_adapter import query_ranked

__all__ = [
    "PREFILTER",
    "Candidate",
    "Selection",
    "compose_batch",
    "interleave",
    "percentile_ranks",
    "prefilter",
    "select_batch",
    "win_tournaments",
]

_Item = TypeVar("_Item")

PREFILTER = 10
_SPARE = 10  # extra places of a ranking, since the cap leaves some out


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A task that could be shown. ``utility`` is on any scale; ``group`` is its document."""

    id: int
    utility: float
    group: str
    embedding: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A candidate's place, with the reason for it: strategy, random or rest."""

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
    """Order all candidates, best first; the first ``n`` of them are a batch.

    Args:
        candidates: Tasks that may be shown.
        n: Size of the batch.
        labelled: Embeddings of labelled sentences, ``(labelled, hidden)``; may be empty.
        rng: The only source of randomness.
        random_share: Share of the batch drawn at random from all candidates.
        per_group: Most tasks of one document in the batch, random ones included.
        use_strategy: False gives a plain random order (strategy ``random``).
    """
    if not candidates:
        return []
    if not use_strategy:
        order = rng.permutation(len(candidates))
        return [Selection(id=candidates[i].id, reason="random") for i in order]
    scores = percentile_ranks(np.array([c.utility for c in candidates]))
    batch = compose_batch(
        [replace(candidates[i], utility=float(scores[i])) for i in prefilter(scores, n, rng=rng)],
        (candidates[i] for i in rng.permutation(len(candidates))),
        min(n, len(candidates)),
        labelled=labelled,
        rng=rng,
        random_share=random_share,
        per_group=per_group,
    )
    taken = {s.id for s in batch}
    rest = (candidates[i].id for i in np.argsort(-scores, kind="stable"))
    return batch + [Selection(id=i, reason="rest") for i in rest if i not in taken]


def prefilter(scores: NDArray[Any], n: int, *, rng: np.random.Generator) -> NDArray[Any]:
    """Draw the candidates of a batch of ``n``: ten times as many, likelier the higher they rank.

    Gumbel noise on the log of the percentile rank gives a weighted draw without replacement, whose
    weights are the percentile ranks.

    Args:
        scores: Percentile ranks in (0, 1). Shape ``(pool,)``.
        n: Size of the batch.
        rng: The only source of randomness.

    Returns:
        Indices of the candidates, int64. Shape ``(min(10 * n, pool),)``.
    """
    noisy = np.log(np.maximum(scores, 1e-9)) + rng.gumbel(size=len(scores))
    return np.argsort(-noisy)[: PREFILTER * n]


def win_tournaments(utilities: NDArray[Any]) -> NDArray[Any]:
    """Draw candidates as ``prefilter`` does, but from a random sample of the pool.

    The better of two candidates that are drawn uniformly is candidate ``i`` with probability
    ``(i^2 - (i - 1)^2) / N^2 = 2 p_i / N``, where ``i`` counts from the least useful of ``N`` and
    ``p_i = (i - 1/2) / N`` is its percentile rank: the weights of the Gumbel draw. Skipping earlier
    winners makes it a draw without replacement. So the distribution is exactly that of
    ``prefilter``, and the pool need not be read as a whole.

    Args:
        utilities: Of candidates drawn uniformly with replacement, one per row; a candidate drawn
            twice has two rows. Shape ``(draws,)``.

    Returns:
        Rows of the winners, in the order of their tournaments, int64; a candidate with several
        rows may win by each of them. Shape ``(draws // 2,)``.
    """
    pairs = utilities[: len(utilities) // 2 * 2].reshape(-1, 2)  # (draws // 2, 2)
    return np.arange(len(pairs)) * 2 + (pairs[:, 1] > pairs[:, 0])


def compose_batch(
    wanted: Sequence[Candidate],
    at_random: Iterable[Candidate],
    n: int,
    *,
    labelled: NDArray[Any],
    rng: np.random.Generator,
    random_share: float,
    per_group: int,
) -> list[Selection]:
    """Make a batch of at most ``n`` from candidates that passed the pre-filter and random ones.

    Args:
        wanted: Candidates that passed; ``utility`` is the percentile rank in the whole pool.
        at_random: Candidates of the whole pool in random order, those of ``wanted`` among them;
            only as many are consumed as are needed.
        n: Size of the batch.
        labelled: Embeddings of labelled sentences, ``(labelled, hidden)``; may be empty.
        rng: The only source of randomness.
        random_share: Share of the batch that comes from ``at_random``.
        per_group: Most tasks of one document in the batch, random ones included.
    """
    n_random = round(n * random_share)
    chosen, counts = _ranked(wanted, n - n_random, labelled=labelled, rng=rng, per_group=per_group)
    taken = {c.id for c in chosen}
    unseen = (c for c in at_random if c.id not in taken)
    explored, _ = _capped(unseen, n_random, per_group, counts)
    return [
        Selection(id=i, reason=reason)
        for i, reason in interleave(
            [(c.id, "strategy") for c in chosen], [(c.id, "random") for c in explored]
        )
    ]


def _ranked(
    wanted: Sequence[Candidate],
    n: int,
    *,
    labelled: NDArray[Any],
    rng: np.random.Generator,
    per_group: int,
) -> tuple[list[Candidate], dict[str, int]]:
    """Take the first ``n`` candidates of the ranked batch that the cap admits.

    A longer ranking begins with the shorter one. Each place in it costs a pass over all pairs, so
    no more places are requested than are needed.
    """
    scores = np.array([c.utility for c in wanted])
    embedded = [c.embedding for c in wanted if c.embedding is not None]
    if len(embedded) < len(wanted) or not wanted:
        order = np.argsort(-scores, kind="stable")
        return _capped((wanted[i] for i in order), n, per_group, {})
    matrix = np.stack(embedded)  # (wanted, hidden)
    state = rng.bit_generator.state
    n_places, most = min(n, len(wanted)), min(2 * n + _SPARE, len(wanted))
    while True:
        rng.bit_generator.state = state  # the same seed for the same ranking
        picked = query_ranked(scores, matrix, n_places, labelled=labelled, rng=rng)
        chosen, counts = _capped((wanted[i] for i in picked), n, per_group, {})
        if len(chosen) == n or n_places == most:
            return chosen, counts
        few = n_places < n + _SPARE
        n_places = min(n_places + _SPARE + 2 * (n - len(chosen)), most) if few else most


def _capped(
    wanted: Iterable[Candidate], n: int, per_group: int, counts: Mapping[str, int]
) -> tuple[list[Candidate], dict[str, int]]:
    so_far, chosen, seen = dict(counts), list[Candidate](), set[int]()
    for candidate in wanted:
        if len(chosen) == n:
            break
        if candidate.id not in seen and so_far.get(candidate.group, 0) < per_group:
            so_far[candidate.group] = so_far.get(candidate.group, 0) + 1
            chosen.append(candidate)
            seen.add(candidate.id)
    return chosen, so_far


def interleave(first: Sequence[_Item], second: Sequence[_Item]) -> list[_Item]:
    """Spread ``second`` evenly over ``first``; both keep their order."""
    keyed = [((i + 0.5) / len(first), 0, item) for i, item in enumerate(first)]
    keyed += [((i + 0.5) / len(second), 1, item) for i, item in enumerate(second)]
    return [item for _, _, item in sorted(keyed, key=lambda k: k[:2])]
