"""Terms that utilities are built from: each gives one number per sentence and prints its formula.

A simulation has the whole pool at hand and ranks its sentences against each other. A queue scores
them shard by shard: there a rank is the one a value would have within a sample of the pool.

``str`` of a term is its formula, as it is shown to people:

>>> str(Weighted(((0.5, Rank(Signal("mnlp"))), (0.5, Rank(Rate("pair_entropy_sum"))))))
'0.5 * rank(mnlp) + 0.5 * rank(pair_entropy_sum / n_words)'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from annotator.active.batch import percentile_ranks
from annotator.errors import ConfigError, ShapeError

__all__ = [
    "Alternate",
    "Distance",
    "Nothing",
    "Rank",
    "Rate",
    "Sample",
    "ScoredPool",
    "Signal",
    "Term",
    "TopRank",
    "Weighted",
    "farthest_first",
    "sample_of",
]

#: Sorted values of a sample of the pool, by ``str`` of their term.
Sample = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPool:
    """Signals and embeddings of the sentences that could be shown, all in one order.

    Attributes:
        signals: Arrays by the names in ``annotator.model.signals``, each of shape ``(n,)``.
        embeddings: L2-normalised sentence embeddings. Shape ``(n, H)``.
        labelled: Embeddings of labelled sentences by the same model. Shape ``(labelled, H)``.
        sample: If given, each sentence is scored by itself, with its ranks within this sample.
    """

    signals: Mapping[str, NDArray[Any]]
    n: int
    embeddings: NDArray[Any] | None = None
    labelled: NDArray[Any] | None = None
    sample: Sample | None = None

    def __post_init__(self) -> None:
        for name, values in self.signals.items():
            if values.shape != (self.n,):
                raise ShapeError(f"signal {name}: expected shape ({self.n},), found {values.shape}")

    @classmethod
    def of(cls, signals: Sequence[Mapping[str, float]], **more: Any) -> ScoredPool:
        """Collect the signals of single sentences into arrays; missing ones are NaN."""
        names = sorted({name for one in signals for name in one})
        arrays = {name: np.array([one.get(name, np.nan) for one in signals]) for name in names}
        return cls(signals=arrays, n=len(signals), **more)

    def column(self, name: str) -> NDArray[Any]:
        """Return a signal, 0 where it is missing or not finite. Shape ``(n,)``."""
        if name not in self.signals:
            return np.zeros(self.n)
        values = self.signals[name].astype(np.float64)
        return np.where(np.isfinite(values), values, 0.0)


class Term(Protocol):
    """One number per sentence, larger for more useful ones."""

    @property
    def ranked(self) -> tuple[Term, ...]:
        """The terms whose values over the whole pool the result depends on."""

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return shape ``(n,)``, float64."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No preference: 0 for each sentence."""

    ranked = ()

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return zeros."""
        return np.zeros(pool.n)

    def __str__(self) -> str:
        return "0"


@dataclass(frozen=True, slots=True)
class Signal:
    """A stored signal as it is."""

    name: str
    ranked = ()

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return the signal."""
        return pool.column(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Rate:
    """A sum over a sentence, divided by its number of words."""

    name: str
    ranked = ()

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return the rates; 0 for a sentence without words."""
        n_words = pool.column("n_words")
        return np.where(n_words > 0, pool.column(self.name) / np.maximum(n_words, 1.0), 0.0)

    def __str__(self) -> str:
        return f"{self.name} / n_words"


@dataclass(frozen=True, slots=True)
class Rank:
    """A term's mid-rank percentile over the pool; ties share one, 0 stays 0."""

    term: Term

    @property
    def ranked(self) -> tuple[Term, ...]:
        """The term."""
        return (self.term,)

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return ranks in [0, 1]."""
        values = self.term.values(pool)
        if pool.sample is None:
            ranks = percentile_ranks(values)
        else:
            ranks = _ranks_within(values, pool.sample[str(self.term)])
        return np.where(values > 0, ranks, 0.0)

    def __str__(self) -> str:
        return f"rank({self.term})"


@dataclass(frozen=True, slots=True)
class Weighted:
    """A weighted sum of terms on one scale."""

    parts: tuple[tuple[float, Term], ...]

    @property
    def ranked(self) -> tuple[Term, ...]:
        """The ranked terms of all parts."""
        return tuple(inner for _, term in self.parts for inner in term.ranked)

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return the sum."""
        total = np.zeros(pool.n)
        for weight, term in self.parts:
            total += weight * term.values(pool)
        return total

    def __str__(self) -> str:
        return " + ".join(f"{weight:g} * {term}" for weight, term in self.parts)


@dataclass(frozen=True, slots=True)
class TopRank:
    """The best of several ranks: a sentence that is uncertain for one task is useful."""

    terms: tuple[Term, ...]

    @property
    def ranked(self) -> tuple[Term, ...]:
        """All of them."""
        return self.terms

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return the greatest rank."""
        greatest = np.zeros(pool.n)
        for term in self.terms:
            np.maximum(greatest, Rank(term).values(pool), out=greatest)
        return greatest

    def __str__(self) -> str:
        return f"max({', '.join(str(Rank(term)) for term in self.terms)})"


@dataclass(frozen=True, slots=True)
class Alternate:
    """The best of each term in turn, each sentence once (Reichart et al. 2008)."""

    terms: tuple[Term, ...]

    @property
    def ranked(self) -> tuple[Term, ...]:
        """All of them."""
        return self.terms

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return numbers in (0, 1] that fall with the turn in which a sentence is taken.

        Scored one by one, sentences take no turns: each gets its better rank.
        """
        if pool.sample is not None:
            return TopRank(self.terms).values(pool)
        orders = [np.argsort(-term.values(pool), kind="stable").tolist() for term in self.terms]
        at, taken = [0] * len(orders), dict[int, int]()
        while len(taken) < pool.n:
            turn = len(taken) % len(orders)
            while orders[turn][at[turn]] in taken:
                at[turn] += 1
            taken[orders[turn][at[turn]]] = len(taken)
        places = np.array([taken[i] for i in range(pool.n)], dtype=np.float64)
        return 1.0 - places / max(1, pool.n)

    def __str__(self) -> str:
        return f"alternate({', '.join(map(str, self.terms))})"


@dataclass(frozen=True, slots=True)
class Distance:
    """Far from everything labelled or taken before: the greedy core-set (arXiv 1708.00489)."""

    ranked = ()

    def values(self, pool: ScoredPool) -> NDArray[Any]:
        """Return numbers in (0, 1] that fall with the turn in which a sentence is taken.

        Scored one by one, a sentence gets 1 minus its greatest cosine with a labelled one, in
        [0, 2], and 1 while nothing is labelled.

        Raises:
            ConfigError: if there are no embeddings.
        """
        if pool.n and pool.embeddings is None:
            raise ConfigError("the strategy coreset needs embeddings; this pool has none")
        if pool.n == 0 or pool.embeddings is None:
            return np.zeros(0)
        if pool.sample is not None:
            return _distances(pool.embeddings, pool.labelled)
        order = farthest_first(pool.embeddings, pool.labelled)
        places = np.empty(pool.n)
        places[order] = np.arange(pool.n)
        return 1.0 - places / pool.n

    def __str__(self) -> str:
        return "farthest(embedding, labelled)"


def sample_of(terms: Sequence[Term], pool: ScoredPool) -> Sample:
    """Return the sorted values of ``terms`` in a sample, for ``ScoredPool.sample``.

    The standard error of a rank within ``n`` sentences is at most ``0.5 / sqrt(n)``.
    """
    return {str(term): np.sort(term.values(pool)) for term in terms}


def _ranks_within(values: NDArray[Any], sample: NDArray[Any]) -> NDArray[Any]:
    """Return the mid-rank percentiles of values within a sorted sample."""
    below = np.searchsorted(sample, values, side="left")
    upto = np.searchsorted(sample, values, side="right")
    ranks: NDArray[Any] = (below + upto) / 2.0 / max(1, len(sample))
    return ranks


def _distances(embeddings: NDArray[Any], labelled: NDArray[Any] | None) -> NDArray[Any]:
    if labelled is None or not len(labelled):
        return np.ones(len(embeddings))
    cosines = embeddings.astype(np.float32) @ labelled.astype(np.float32).T
    distances: NDArray[Any] = 1.0 - cosines.max(axis=1).astype(np.float64)
    return distances


def farthest_first(embeddings: NDArray[Any], labelled: NDArray[Any] | None) -> NDArray[Any]:
    """Order all rows so that each is the farthest from those before it and from ``labelled``.

    Args:
        embeddings: L2-normalised. Shape ``(n, H)``.
        labelled: L2-normalised; with None or no rows, the row farthest from the mean comes first.

    Returns:
        Row numbers, int64. Shape ``(n,)``. Time is O(n * (n + labelled) * H), memory O(n * H).
    """
    rows = embeddings.astype(np.float32)
    nearest = np.full(len(rows), -np.inf, dtype=np.float32)  # greatest similarity
    for anchor in np.zeros((0, rows.shape[1])) if labelled is None else labelled:
        np.maximum(nearest, rows @ anchor.astype(np.float32), out=nearest)
    if not np.isfinite(nearest).all():
        nearest = rows @ rows.mean(axis=0)
        order = [int(nearest.argmin())]
        nearest = rows @ rows[order[0]]
    else:
        order = [int(nearest.argmin())]
        np.maximum(nearest, rows @ rows[order[0]], out=nearest)
    left = np.ones(len(rows), dtype=np.bool_)
    left[order[0]] = False
    while len(order) < len(rows):
        chosen = int(np.where(left, nearest, np.inf).argmin())
        order.append(chosen)
        left[chosen] = False
        np.maximum(nearest, rows @ rows[chosen], out=nearest)
    return np.array(order, dtype=np.int64)
