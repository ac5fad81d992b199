"""The joint F1 of entities and relations, and its error over resamples of the hold-out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.training.evaluation import Evaluation

__all__ = ["JointScore", "Resamples", "joint_f1", "measure_joint"]

_FEWEST_GROUPS = 5


def joint_f1(counts: NDArray[np.number[Any]]) -> NDArray[np.float64]:
    """Return the mean of the entity and the relation micro F1, in per cent.

    If the gold has no relations it is only the entity F1: otherwise a single false alarm would
    halve the score of one model and not of the other.

    Args:
        counts: Sums in the order of ``evaluation.COLUMNS``. Shape ``(..., 6)``.

    Returns:
        Shape ``(...)``.
    """
    values = counts.astype(np.float64)
    hits = values[..., [0, 3]]  # (..., 2)
    totals = values[..., [1, 4]] + values[..., [2, 5]]  # (..., 2)
    f1 = 200.0 * hits / np.maximum(totals, 1.0)
    return np.asarray(np.where(values[..., 5] > 0, f1.mean(axis=-1), f1[..., 0]))  # (...)


class Resamples:
    """Bootstrap resamples of a hold-out, drawn by group as the hold-out itself was.

    Sentences of a group share author and subject, so that their errors go together. With fewer
    than five groups each sentence is drawn by itself: so few say nothing of how groups differ.

    Args:
        groups: The group of each sentence.
        n_resamples: Number of resamples.
        rng: Source of randomness.
    """

    def __init__(
        self, groups: Sequence[str], *, n_resamples: int, rng: np.random.Generator
    ) -> None:
        places = np.unique(np.array(groups, dtype=np.str_), return_inverse=True)[1]
        if places.max() + 1 < _FEWEST_GROUPS:
            places = np.arange(len(groups))
        self._order = np.argsort(places, kind="stable")
        self._first = np.flatnonzero(np.diff(places[self._order], prepend=-1))  # (groups,)
        n = len(self._first)
        drawn = rng.multinomial(n, np.full(n, 1.0 / n), size=n_resamples)
        self._weights = drawn.astype(np.float64)  # (resamples, groups)

    def sums(self, counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Sum counts of sentences over each resample.

        Args:
            counts: Shape ``(sentences, columns)``.

        Returns:
            Shape ``(resamples, columns)``.
        """
        by_group = np.add.reduceat(counts[self._order], self._first)  # (groups, columns)
        sums: NDArray[np.float64] = self._weights @ by_group  # (resamples, columns)
        return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class JointScore:
    """The joint F1 in per cent, with its 95 % interval and standard error."""

    f1: float
    low: float
    high: float
    error: float

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure_joint(
    scores: Evaluation, *, rng: np.random.Generator, n_resamples: int = 1_000
) -> JointScore | None:
    """Return the joint F1 with its error over bootstrap resamples; None without sentences."""
    if scores.n_sentences == 0:
        return None
    counts = scores.sentence_counts
    drawn = joint_f1(Resamples(scores.groups, n_resamples=n_resamples, rng=rng).sums(counts))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return JointScore(
        f1=float(joint_f1(counts.sum(axis=0))),
        low=float(low),
        high=float(high),
        error=float(drawn.std()),
    )
