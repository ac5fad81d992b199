"""Advice on whether more labels are likely to pay, with its reasons. It never stops anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from annotator.active.agreement import Agreement
from annotator.active.forecast import LEAST_POINTS, Gain

__all__ = ["Advice", "StopRule", "advise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """When labelling is considered unlikely to pay.

    Only ``growth`` and ``gain`` decide. The other thresholds are about agreement, which is reported
    beside the advice.

    Attributes:
        growth: The next step of labels, as a factor of the words; the upper end of its expected
            gain must be below ``gain`` points.
        gain: See ``growth``.
        tags: Least kappa over word tags.
        pairs: Least kappa over relation decisions.
        delta_f: Largest predicted change of the joint F1, in points.
        window: Number of latest comparisons that must all agree; two span three models.
        least_words: With fewer unlabelled words, agreement is not judged.
        least_relations: With fewer predicted relations, agreement on relations is not judged.
    """

    growth: float = 1.1
    gain: float = 0.5
    tags: float = 0.99
    pairs: float = 0.97
    delta_f: float = 0.5
    window: int = 2
    least_words: int = 2_000
    least_relations: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """``stop``: more labels are unlikely to pay. ``unknown``: it cannot be decided yet."""

    state: Literal["continue", "stop", "unknown"]
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"state": self.state, "reasons": list(self.reasons)}


def advise(
    gain: Gain | None,
    *,
    agreements: Sequence[Agreement] = (),
    has_relations: bool = False,
    rule: StopRule | None = None,
) -> Advice:
    """Say whether more labels are likely to pay.

    The expected gain of the learning curve decides. Whether successive models agree (Bloodgood and
    Vijay-Shanker 2009) is only reported: two models trained from the same labels differ too. What
    cannot be measured is never a reason to stop.

    Args:
        gain: Expected gain if the words grow by ``rule.growth``; None if it is not known.
        agreements: Of successive models, the oldest first.
        has_relations: Whether the schema has relation types.
        rule: The thresholds; None takes the defaults.
    """
    rule = rule or StopRule()
    if gain is None:
        lack = f"fewer than {LEAST_POINTS} models were measured on the hold-out"
        return Advice(state="unknown", reasons=(lack,))
    if gain.high < 0:
        falls = f"the hold-out curve falls; look at the newest labels: {gain}"
        return Advice(state="unknown", reasons=(falls,))
    if not gain.high < rule.gain:  # NaN is no reason to stop
        if gain.low > 0:
            return Advice(state="continue", reasons=(str(gain),))
        vague = f"the hold-out is too small, or the curve too short, to tell: {gain}"
        return Advice(state="unknown", reasons=(vague,))
    last = agreements[max(0, len(agreements) - rule.window) :]
    against = _judge_agreement(last, rule, has_relations=has_relations)
    told = tuple(against) or (f"the last {rule.window + 1} models agree",)
    return Advice(state="stop", reasons=(str(gain), *told))


def _judge_agreement(
    last: Sequence[Agreement], rule: StopRule, *, has_relations: bool
) -> list[str]:
    """Return where successive models differ, then what is not known."""
    against, unknown = list[str](), list[str]()
    if len(last) < rule.window:
        unknown.append(f"{len(last)} of {rule.window} comparisons of successive models are there")
    if any(one.n_words < rule.least_words for one in last):
        n = min(one.n_words for one in last)
        unknown.append(f"only {n} unlabelled words to compare models on, {rule.least_words} needed")
        return unknown
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
                f"successive models differ on {name}: kappa {min(known):.3f}, less than {least}"
            )
    changes = [one.delta_f for one in last if one.delta_f is not None]
    if changes and max(changes) > rule.delta_f:
        against.append(
            f"from where they differ a change of up to {max(changes):.1f} points of F1 is "
            f"predicted, more than {rule.delta_f}"
        )
    return [*against, *unknown]
