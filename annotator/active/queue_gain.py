"""Whether the strategy's tasks hold more to correct than those drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["LabelledTask", "QueueGain", "measure_queue_gain"]

_RESAMPLES = 1_000
_LEAST_TASKS = 20
_LEAST_CORRECTIONS = 10  # in both shares together
_LEAST_GAIN = 1.1  # a queue that finds at most this much more does not pay


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledTask:
    """A task that was shown with a prediction, and how much of it people had to correct."""

    document: int
    share: Literal["strategy", "random"]
    words: int
    corrections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueGain:
    """Corrections per word in the strategy's tasks relative to those in the random share.

    Attributes:
        state: ``pays``, ``no_gain`` (at most a tenth more), or ``unknown``.
        reason: The state in words.
        ratio: The quotient; None where there is too little data.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tasks: Tasks, words and corrections of both shares.
    """

    state: Literal["pays", "no_gain", "unknown"]
    reason: str
    ratio: float | None
    low: float | None
    high: float | None
    tasks: dict[str, dict[str, int]]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def measure_queue_gain(tasks: Sequence[LabelledTask], *, rng: np.random.Generator) -> QueueGain:
    """Compare the two shares of the same batches: same models, same people, same weeks.

    The interval is a bootstrap over documents, since sentences of one document are alike. Half a
    correction is added on both sides, so that a share without any still has a rate.

    Assumes that a correction teaches the same wherever it was made.
    """
    totals = {
        share: {
            "tasks": len(own),
            "words": sum(one.words for one in own),
            "corrections": sum(one.corrections for one in own),
        }
        for share in ("strategy", "random")
        for own in [[one for one in tasks if one.share == share]]
    }
    lack = _what_lacks(totals)
    if lack is not None:
        return QueueGain(
            state="unknown", reason=lack, ratio=None, low=None, high=None, tasks=totals
        )
    rows = _by_document(tasks)
    ratio = float(_ratio(rows.sum(axis=0)))
    low, high = (float(q) for q in np.quantile(_resample(rows, rng), (0.025, 0.975)))
    told = (
        f"the strategy's tasks hold {ratio:.2f} times as many corrections a word as the random "
        f"share (95 % interval {low:.2f} to {high:.2f})"
    )
    state: Literal["pays", "no_gain", "unknown"] = "unknown"
    if low > 1.0:
        state = "pays"
    elif high < _LEAST_GAIN:
        state = "no_gain"
    return QueueGain(
        state=state,
        reason=told,
        ratio=round(ratio, 4),
        low=round(low, 4),
        high=round(high, 4),
        tasks=totals,
    )


def _what_lacks(totals: dict[str, dict[str, int]]) -> str | None:
    for share, own in totals.items():
        if own["tasks"] < _LEAST_TASKS or own["words"] == 0:
            name = "drawn at random" if share == "random" else "chosen by the strategy"
            return (
                f"{own['tasks']} of the {_LEAST_TASKS} tasks needed were {name} and corrected from "
                "a prediction (those of the warm-up and the hold-out count for neither)"
            )
    n = sum(own["corrections"] for own in totals.values())
    if n < _LEAST_CORRECTIONS:
        return f"people corrected {n} labels of predictions in all, {_LEAST_CORRECTIONS} needed"
    return None


def _by_document(tasks: Sequence[LabelledTask]) -> NDArray[np.float64]:
    """Sum words and corrections of both shares by document. Shape ``(documents, 4)``."""
    places: dict[int, int] = {}
    for one in tasks:
        places.setdefault(one.document, len(places))
    rows = np.zeros((len(places), 4))
    for one in tasks:
        first = 0 if one.share == "strategy" else 2
        rows[places[one.document], first : first + 2] += (one.words, one.corrections)
    return rows


def _resample(rows: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    n = len(rows)
    even = np.full(n, 1.0 / n)
    drawn = [_ratio(rng.multinomial(n, even) @ rows) for _ in range(_RESAMPLES)]
    return np.array(drawn)


def _ratio(totals: NDArray[np.float64]) -> float:
    strategy = (totals[1] + 0.5) / max(totals[0], 1.0)
    random = (totals[3] + 0.5) / max(totals[2], 1.0)
    return float(strategy / random)
