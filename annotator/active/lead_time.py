"""Seconds that labels cost, fitted to the times people took.

The time of a task is linear in its content and in what was changed, times a factor of the person:
``seconds = person * (task_s + word_s * words + entity_s * entities + relation_s * relations
+ edit_s * edits)``. People's times are skewed and contain coffee breaks, so logarithms are fitted
with a Cauchy loss, for which an hour away counts little more than a minute too much; the result is
the typical time, below the mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.active.cost import AnnotationCost

__all__ = ["LEAST_TIMED", "CostFit", "TimedLabels", "fit_cost"]

#: Fewest timed annotations for a fit.
LEAST_TIMED = 200

_ASSUMED = np.array([2.0, 0.3, 1.0, 1.0, 3.0])  # seconds per task, word, entity, relation, edit
_PRIOR = 0.5  # weight of the assumption, in annotations; decides only where the data do not
_SHRINK = 10  # annotations of a person that weigh as much as the common figures
_CAUCHY = 2.385  # 95 % efficient where the noise is normal
_MIN_SCALE = 0.02
_ROUNDS = 5
_FOLDS = 5
_TINY_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedLabels:
    """What somebody labelled, and how long it took.

    ``entities`` and ``relations`` count what was submitted, ``edits`` what was drawn, changed or
    removed to get there.
    """

    words: float
    entities: float
    relations: float
    entity_edits: float
    relation_edits: float
    seconds: float
    annotator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostFit:
    """Fitted seconds, and their error.

    Attributes:
        task_s: Seconds for an empty task.
        word_s: Additional seconds per word.
        entity_s: Additional seconds per entity, apart from edits of it.
        relation_s: Additional seconds per relation, apart from edits of it.
        edit_s: Additional seconds per entity or relation that was drawn, changed or removed.
        cost: The same with the mean number of edits included in entities and relations.
        median_s: Median of the observed times.
        error_s: Median of |observed - expected| over annotations that the fit had not seen,
            without factors of people.
        constant_error_s: The same for always expecting the median of the others.
        n: Annotations that the fit saw.
        factors: Time of each person relative to the fit; shrunk towards 1 for a person with few
            annotations.
    """

    task_s: float
    word_s: float
    entity_s: float
    relation_s: float
    edit_s: float
    cost: AnnotationCost
    median_s: float
    error_s: float
    constant_error_s: float
    n: int
    factors: Mapping[str | None, float]

    @property
    def explained(self) -> float:
        """The share of a constant's error that the fit removes; negative if it adds to it."""
        return 1.0 - self.error_s / self.constant_error_s if self.constant_error_s > 0 else 0.0


def fit_cost(timed: Sequence[TimedLabels]) -> CostFit | None:
    """Fit seconds to timed annotations; None where fewer than ``LEAST_TIMED`` have a usable time.

    No figure is negative. What never occurred costs 0. Where the data cannot separate two figures
    (all texts of one length, everything drawn by hand), their shared time is split in the
    proportions of the assumed costs. The same data give the same fit.
    """
    usable = [one for one in timed if math.isfinite(one.seconds) and one.seconds > 0]
    if len(usable) < LEAST_TIMED:
        return None
    data = _Data.of(usable)
    seconds, log_factors = _fit(data)
    error_s, constant_error_s = _cross_validate(data)
    return CostFit(
        **dict(zip(("task_s", "word_s", "entity_s", "relation_s", "edit_s"), seconds, strict=True)),
        cost=_with_edits(seconds, usable),
        median_s=float(np.median(data.seconds)),
        error_s=error_s,
        constant_error_s=constant_error_s,
        n=len(usable),
        factors=dict(zip(data.people, np.exp(log_factors).tolist(), strict=True)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    """Annotations as columns. ``x`` is of shape ``(n, 5)``, ``person`` indexes ``people``."""

    x: NDArray[np.float64]
    seconds: NDArray[np.float64]
    person: NDArray[np.int64]
    people: Sequence[str | None]

    @classmethod
    def of(cls, timed: Sequence[TimedLabels]) -> _Data:
        people = list(dict.fromkeys(one.annotator for one in timed))
        numbers = {name: i for i, name in enumerate(people)}
        rows = [
            (1.0, one.words, one.entities, one.relations, one.entity_edits + one.relation_edits)
            for one in timed
        ]
        return cls(
            x=np.array(rows, dtype=np.float64),
            seconds=np.array([one.seconds for one in timed], dtype=np.float64),
            person=np.array([numbers[one.annotator] for one in timed], dtype=np.int64),
            people=people,
        )

    def rows(self, chosen: NDArray[np.bool_]) -> _Data:
        return _Data(
            x=self.x[chosen],
            seconds=self.seconds[chosen],
            person=self.person[chosen],
            people=self.people,
        )


def _fit(data: _Data) -> tuple[list[float], NDArray[np.float64]]:
    """Fit figures and people's factors in turn; return seconds and logarithms of factors."""
    seen = data.x.any(axis=0)
    x, log_s = data.x[:, seen], np.log(data.seconds)
    start = _ASSUMED[seen]
    start *= float(np.exp(np.median(log_s - np.log(x @ start))))
    found: NDArray[np.float64] = start
    log_factors: NDArray[np.float64] = np.zeros(len(data.people))
    for i in range(_ROUNDS):
        wanted = log_s - log_factors[data.person]
        loss = "cauchy" if i else "soft_l1"  # soft_l1 has a single minimum, so it comes first
        found = _solve(x, wanted, found, assumed=start, loss=loss)
        log_factors = _log_factors(data, log_s - _log_sum(x, found))
    seconds = np.zeros(len(_ASSUMED))
    seconds[seen] = found
    return seconds.tolist(), log_factors


def _log_sum(x: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(x @ seconds, _TINY_S))
    return logs


def _solve(
    x: NDArray[np.float64],
    log_s: NDArray[np.float64],
    found: NDArray[np.float64],
    *,
    assumed: NDArray[np.float64],
    loss: str,
) -> NDArray[np.float64]:
    """Refine ``found``, scaled to shares of a typical task's time so that all weigh alike."""
    from scipy.optimize import least_squares

    unit = np.median(x @ assumed) / x.mean(axis=0)
    ties = _PRIOR * np.eye(len(assumed))

    def residuals(shares: NDArray[Any]) -> NDArray[Any]:
        of_data = _log_sum(x, shares * unit) - log_s
        return np.concatenate([of_data, _PRIOR * (shares - assumed / unit)])

    def slopes(shares: NDArray[Any]) -> NDArray[Any]:
        of_data = x * unit / np.maximum(x @ (shares * unit), _TINY_S)[:, None]
        return np.concatenate([of_data, ties])

    off = np.abs(_log_sum(x, found) - log_s)
    scale = max(_MIN_SCALE, 1.4826 * float(np.median(off)))
    answer = least_squares(
        residuals,
        found / unit,
        jac=slopes,
        bounds=(0.0, np.inf),
        loss=loss,
        f_scale=_CAUCHY * scale,
    )
    solved: NDArray[np.float64] = answer.x * unit
    return solved


def _log_factors(data: _Data, off: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each person's median, shrunk, so that the mean over annotations is 0."""
    n = np.bincount(data.person, minlength=len(data.people))
    medians = [np.median(off[data.person == i]) if n[i] else 0.0 for i in range(len(n))]
    shrunk = np.array(medians) * n / (n + _SHRINK)
    centred: NDArray[np.float64] = shrunk - np.average(shrunk, weights=n)
    return centred


def _cross_validate(data: _Data) -> tuple[float, float]:
    """Return the median errors of the figures and of a constant, on annotations not fitted to."""
    fold = np.random.default_rng(0).permutation(len(data.seconds)) % _FOLDS
    off, off_constant = np.empty(len(fold)), np.empty(len(fold))
    for i in range(_FOLDS):
        held = fold == i
        seen = data.rows(~held)
        seconds, _ = _fit(seen)
        off[held] = np.abs(data.seconds[held] - data.x[held] @ np.array(seconds))
        off_constant[held] = np.abs(data.seconds[held] - np.median(seen.seconds))
    return float(np.median(off)), float(np.median(off_constant))


def _with_edits(seconds: Sequence[float], timed: Sequence[TimedLabels]) -> AnnotationCost:
    """Spread the time of edits over what was edited."""
    task_s, word_s, entity_s, relation_s, edit_s = seconds
    n_entities = max(1.0, sum(one.entities for one in timed))
    n_relations = max(1.0, sum(one.relations for one in timed))
    return AnnotationCost(
        sentence_s=task_s,
        word_s=word_s,
        entity_s=entity_s + edit_s * sum(one.entity_edits for one in timed) / n_entities,
        relation_s=relation_s + edit_s * sum(one.relation_edits for one in timed) / n_relations,
    )
