"""Where a project would have been advised to stop, how much F1 was left there, and forecasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any, Final

from annotator.active.forecast import CurvePoint, LearningCurve
from annotator.active.stopping import StopRule, advise
from annotator.simulation.arms import FULL, START

__all__ = ["describe_stopping", "stopping_lines"]

#: The product's rule, and others to compare it with.
RULES: Final = {
    "as advised": StopRule(),
    "looser": StopRule(gain=0.75),
    "loose": StopRule(gain=1.0),
}


def describe_stopping(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return, by rule, the advice in each arm and seed whose scores have errors.

    ``stopped`` has a row per arm and seed: the first round after which the advice was to stop (None
    if it never was), the words and joint F1 there, and ``left``: the full-data F1 minus that.
    ``rounds`` has the measurements of each round. ``forecasts`` has what the curve up to a round
    predicted for the next model, the last of which is the one of all data.
    """
    found = {(str(r["arm"]), int(r["seed"]), int(r["round"])): r for r in records}
    trails = {}
    for arm, seed in sorted({place[:2] for place in found if place[0] not in (START, FULL)}):
        last = max(i for a, s, i in found if (a, s) == (arm, seed))
        trail = [
            found.get((START, seed, 0)),
            *(found.get((arm, seed, i)) for i in range(1, last + 1)),
        ]
        full = found.get((FULL, seed, 0))
        known = [one for one in trail if one is not None]
        if full is not None and len(known) == len(trail) and _has_errors([*known, full]):
            trails[arm, seed] = (known, full)
    return {
        "rounds": [
            {"arm": arm, "seed": seed, **_measured(one)}
            for (arm, seed), (trail, _) in trails.items()
            for one in trail[1:]
        ],
        "forecasts": [
            {"arm": arm, "seed": seed, **one}
            for (arm, seed), (trail, full) in trails.items()
            for one in _forecasts([*trail, full])
        ],
        "stopped": {
            name: [
                {"arm": arm, "seed": seed, **_stop(trail, full, rule)}
                for (arm, seed), (trail, full) in trails.items()
            ]
            for name, rule in RULES.items()
        },
    }


def _measured(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "round": record["round"],
        "words": record["labelled"]["words"],
        "joint_f1": record["joint_f1"],
    }


def _stop(
    trail: Sequence[Mapping[str, Any]], full: Mapping[str, Any], rule: StopRule
) -> dict[str, Any]:
    """Go through the rounds as a project would, and return the first with the advice to stop."""
    for i, record in enumerate(trail):
        done = trail[: i + 1]
        curve = _curve(done)
        advice = advise(curve.gain(rule.growth) if curve else None, rule=rule)
        if advice.state == "stop":
            words = record["labelled"]["words"]
            return {
                "round": record["round"],
                "words": words,
                "share_of_words": round(words / full["labelled"]["words"], 4),
                "joint_f1": record["joint_f1"],
                "left": round(full["joint_f1"] - record["joint_f1"], 4),
            }
    return {"round": None}


def _forecasts(trail: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for i in range(1, len(trail)):
        curve, after = _curve(trail[:i]), trail[i]
        if curve is None:
            continue
        words = after["labelled"]["words"]
        told = curve.level(words, error=after["joint_f1_error"])
        yield {
            "from_words": trail[i - 1]["labelled"]["words"],
            "words": words,
            **{key: round(value, 4) for key, value in asdict(told).items()},
            "joint_f1": after["joint_f1"],
        }


def _has_errors(records: Sequence[Mapping[str, Any]]) -> bool:
    return all(one.get("joint_f1_error") is not None for one in records)


def _curve(done: Sequence[Mapping[str, Any]]) -> LearningCurve | None:
    return LearningCurve.fit(
        [
            CurvePoint(
                words=one["labelled"]["words"],
                joint_f1=one["joint_f1"],
                error=one["joint_f1_error"],
            )
            for one in done
        ]
    )


def stopping_lines(value: Mapping[str, Any]) -> list[str]:
    """Return the printed lines; none if no arm and seed is finished."""
    if not value["rounds"]:
        return []
    lines = [
        "",
        f"{'advice to stop':<22}{'advised':>12}{'mean words':>12}{'mean F1 left':>14}{'worst':>8}",
    ]
    for name, rows in value["stopped"].items():
        hits = [row for row in rows if row["round"] is not None]
        told = f"{len(hits)} of {len(rows)}"
        if not hits:
            lines.append(f"{name:<22}{told:>12}")
            continue
        left = [row["left"] for row in hits]
        words = fmean(row["share_of_words"] for row in hits)
        lines.append(f"{name:<22}{told:>12}{words:>12.0%}{fmean(left):>14.2f}{max(left):>8.2f}")
    for row in value["stopped"]["as advised"]:
        if row["round"] is not None:
            lines.append(
                f"{row['arm']} seed {row['seed']}: advised after round {row['round']}, at "
                f"{row['share_of_words']:.0%} of the words; {row['left']:.2f} points of F1 left"
            )
    forecasts = value["forecasts"]
    if forecasts:
        n_within = sum(one["low"] <= one["joint_f1"] <= one["high"] for one in forecasts)
        off = fmean(one["joint_f1"] - one["middle"] for one in forecasts)
        lines.append(
            f"the curve told the next model's F1 {len(forecasts)} times: {n_within} were within "
            f"the 95 % interval, {off:+.2f} points from its middle in the mean"
        )
    return lines
