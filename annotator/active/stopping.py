"""Whether more labels are likely to pay: advice with its reasons. It never stops anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from annotator.active.agreement import Agreement

__all__ = ["Advice", "CurvePoint", "StopRule", "Trend", "advise", "fit_trend"]

#: Two-sided 95 % quantiles of Student's t by degrees of freedom.
_T95 = {1: 12.706, 2: 4.303, 3: 3.182}
_WINDOW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A model on the hold-out: words it learnt from, joint F1, and its standard error.

    ``error`` is None where it is not known.
    """

    words: float
    joint_f1: float
    error: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What the hold-out curve gains, in points of joint F1 for each doubling of the words.

    ``low`` and ``high`` are the 95 % interval, ``n`` the number of models.
    """

    slope: float
    low: float
    high: float
    n: int

    def gain(self, growth: float) -> tuple[float, float]:
        """Return the interval of what words grown by the factor ``growth`` would bring."""
        doublings = math.log2(growth)
        return self.low * doublings, self.high * doublings

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When labelling is thought unlikely to pay.

    Attributes:
        tags: Least kappa over word tags.
        pairs: Least kappa over decisions for a relation.
        delta_f: Largest predicted change of the joint F1, in points.
        window: So many last comparisons must all agree; two span three models, and 0 leaves it
            to the curve.
        least_words: Fewer unlabelled words than these tell nothing.
        least_relations: Fewer predicted relations than these tell nothing about relations.
        growth: The next step of labels, as a factor of the words; the upper end of what it is
            expected to bring must be below ``gain`` points.
        gain: See ``growth``.
    """

    tags: float = 0.99
    pairs: float = 0.97
    delta_f: float = 0.5
    window: int = 2
    least_words: int = 2_000
    least_relations: int = 30
    growth: float = 1.1
    gain: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """``stop``: more labels are unlikely to pay. ``unknown``: it cannot be told yet."""

    state: Literal["continue", "stop", "unknown"]
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"state": self.state, "reasons": list(self.reasons)}


def fit_trend(points: Sequence[CurvePoint]) -> Trend | None:
    """Fit a line through the last five points, over the logarithm of the words.

    Weighted least squares by the standard errors, taken as independent; the error of the slope is
    raised where the points scatter more than those say (training is random too). Where the
    hold-out is the same throughout its part of the error is in all points alike, so that the
    interval is rather too wide.

    Returns:
        None with fewer than three points, or where the words do not differ.
    """
    last = points[-_WINDOW:]
    x = np.log2([max(one.words, 1.0) for one in last])
    if len(last) < 3 or np.ptp(x) < 1e-9:
        return None
    y = np.array([one.joint_f1 for one in last])
    errors = [one.error for one in last if one.error]
    is_known = len(errors) == len(last)
    weights = 1.0 / np.square(errors) if is_known else np.ones(len(last))
    x_mean, y_mean = (np.average(values, weights=weights) for values in (x, y))
    spread = float((weights * (x - x_mean) ** 2).sum())
    slope = float((weights * (x - x_mean) * (y - y_mean)).sum()) / spread
    n_free = len(last) - 2
    scatter = float((weights * (y - y_mean - slope * (x - x_mean)) ** 2).sum()) / n_free
    variance = (max(1.0, scatter) if is_known else scatter) / spread
    half = _T95[n_free] * math.sqrt(variance)
    return Trend(slope=slope, low=slope - half, high=slope + half, n=len(last))


def advise(
    agreements: Sequence[Agreement],
    trend: Trend | None,
    *,
    has_relations: bool,
    rule: StopRule | None = None,
) -> Advice:
    """Say whether more labels are likely to pay.

    Advises to stop where successive models agree (Bloodgood and Vijay-Shanker 2009), little change
    of F1 is predicted, and the hold-out curve is flat within its error: all of them. A curve that
    rises is enough to go on, and so are models that still change, unless the curve is flat: two
    trainings from the same labels differ too. What cannot be measured is never a reason to stop.

    Args:
        agreements: Of successive models, the oldest first.
        trend: Of the hold-out curve; None if it cannot be fitted yet.
        has_relations: Whether the schema has relation types.
        rule: The thresholds.
    """
    rule = rule or StopRule()
    last = agreements[max(0, len(agreements) - rule.window) :]
    against, unknown = _judge_agreement(last, rule, has_relations=has_relations)
    if len(last) < rule.window:
        unknown.append(f"{len(last)} of {rule.window} comparisons of successive models are there")
    is_flat, told = False, ""
    if trend is None:
        unknown.append("the hold-out curve has fewer than three models, or no hold-out")
    else:
        low, high = trend.gain(rule.growth)
        told = f"{rule.growth - 1:.0%} more words bring {low:+.2f} to {high:+.2f} points of F1"
        if trend.low > 0:
            against.append(f"the hold-out curve still rises: {told}")
        elif trend.high < 0:
            unknown.append(f"the hold-out curve falls; look at the newest labels: {told}")
        elif high >= rule.gain:
            unknown.append(f"the hold-out is too small, or the curve too short, to tell: {told}")
        else:
            is_flat = True
    if against and is_flat:
        unknown = [f"the hold-out curve is flat, {told}, but {against[0]}", *against[1:], *unknown]
    elif against:
        return Advice(state="continue", reasons=tuple(against))
    if unknown:
        return Advice(state="unknown", reasons=tuple(unknown))
    agreed = f"the last {rule.window + 1} models agree, and " if rule.window else ""
    return Advice(state="stop", reasons=(f"{agreed}the hold-out curve is flat: {told}",))


def _judge_agreement(
    last: Sequence[Agreement], rule: StopRule, *, has_relations: bool
) -> tuple[list[str], list[str]]:
    """Return what speaks for going on, and what is not known."""
    against, unknown = list[str](), list[str]()
    if any(one.n_words < rule.least_words for one in last):
        n = min(one.n_words for one in last)
        unknown.append(f"only {n} unlabelled words to compare models on, {rule.least_words} needed")
        return against, unknown
    named = [("word tags", [one.tags for one in last], rule.tags)]
    if has_relations:
        enough = all(one.n_relations >= rule.least_relations for one in last)
        named += [("relations", [one.pairs for one in last], rule.pairs)] if enough else []
        if last and not enough:
            unknown.append("too few relations are predicted to compare models by them")
    for name, values, least in named:
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            unknown.append(f"agreement on {name} is not defined")
        elif known and min(known) < least:
            against.append(
                f"successive models still differ on {name}: kappa {min(known):.3f}, {least} needed"
            )
    changes = [one.delta_f for one in last if one.delta_f is not None]
    if changes and max(changes) > rule.delta_f:
        against.append(
            f"a change of up to {max(changes):.1f} points of F1 is predicted, "
            f"{rule.delta_f} allowed"
        )
    return against, unknown
