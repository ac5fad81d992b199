"""Learning curves over labelling cost, and the cost of reaching a share of the full score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.active.cost import AnnotationCost
from annotator.simulation.arms import FULL, START

__all__ = ["COSTS", "SCORES", "Curve", "mean_curve", "read_curves"]

COSTS = ("sentences", "words", "entities", "relations", "seconds")
SCORES = ("joint_f1", "ner_f1", "re_f1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One point for the start, for each round, and for all data, in this order.

    Attributes:
        costs: Cost of the labels so far, in the order of ``COSTS``. Shape ``(points, 5)``.
        scores: F1 in per cent, in the order of ``SCORES``. Shape ``(points, 3)``.
    """

    costs: NDArray[np.float64]
    scores: NDArray[np.float64]

    @property
    def full(self) -> float:
        """The joint F1 with all data."""
        return float(self.scores[-1, 0])

    def cost_to(self, target: float) -> NDArray[np.float64]:
        """Return the cost at which the joint F1 first reaches ``target``. Shape ``(5,)``.

        Between two points the curve is linear. A target already reached by the start costs what the
        start does; one never reached costs all data.
        """
        joint = self.scores[:, 0]
        reached = np.flatnonzero(joint >= target - 1e-9)
        i = int(reached[0]) if len(reached) else len(joint) - 1
        after: NDArray[np.float64] = self.costs[i]
        if i == 0 or joint[i] < target:
            return after
        share = (target - joint[i - 1]) / (joint[i] - joint[i - 1])
        between: NDArray[np.float64] = self.costs[i - 1] * (1.0 - share) + after * share
        return between

    def scores_at(self, words: float) -> NDArray[np.float64]:
        """Return the scores at so many labelled words. Shape ``(3,)``."""
        at = self.costs[:, COSTS.index("words")]
        return np.array([np.interp(words, at, column) for column in self.scores.T])

    def to_json(self) -> list[dict[str, float]]:
        """Return one object per point."""
        return [
            {
                **{name: round(float(v), 1) for name, v in zip(COSTS, costs, strict=True)},
                **{name: round(float(v), 4) for name, v in zip(SCORES, scores, strict=True)},
            }
            for costs, scores in zip(self.costs, self.scores, strict=True)
        ]


def read_curves(
    records: Sequence[Mapping[str, Any]], *, n_rounds: int, cost: AnnotationCost
) -> dict[str, dict[int, Curve]]:
    """Return the curves by arm and seed; unfinished ones are left out."""
    found = {(str(r["arm"]), int(r["seed"]), int(r["round"])): r for r in records}
    curves: dict[str, dict[int, Curve]] = {}
    for arm, seed in sorted({place[:2] for place in found}):
        if arm in (START, FULL):
            continue
        places = [(START, seed, 0), *((arm, seed, i) for i in range(1, n_rounds)), (FULL, seed, 0)]
        if all(place in found for place in places):
            curves.setdefault(arm, {})[seed] = _curve([found[place] for place in places], cost)
    return curves


def _curve(records: Sequence[Mapping[str, Any]], cost: AnnotationCost) -> Curve:
    rows = []
    for record in records:
        counts = {name: float(record["labelled"][name]) for name in COSTS[:-1]}
        rows.append([*counts.values(), cost.seconds(**counts)])
    scores = [[record[name] for name in SCORES] for record in records]
    return Curve(costs=np.array(rows), scores=np.array(scores, dtype=np.float64))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """Average curves with the same rounds, point by point."""
    return Curve(
        costs=np.mean([curve.costs for curve in curves], axis=0),
        scores=np.mean([curve.scores for curve in curves], axis=0),
    )
