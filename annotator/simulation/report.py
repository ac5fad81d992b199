"""The results of a simulation: costs, ratios to random order, intervals, and what was picked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from annotator.active import get_strategy
from annotator.active.cost import AnnotationCost
from annotator.errors import InputError
from annotator.experiments.record import write_atomically
from annotator.experiments.run import versions
from annotator.simulation.arms import FULL, START, Arm, SimulatedCorpus
from annotator.simulation.curves import COSTS, SCORES, Curve, mean_curve, read_curves
from annotator.simulation.replay import Simulation
from annotator.simulation.rounds import count_labels
from annotator.simulation.stopping import describe_stopping, stopping_lines
from annotator.views.curves import Line, LineChart

__all__ = [
    "TARGETS",
    "compare_curves",
    "describe_arms",
    "describe_simulation",
    "draw_chart",
    "put_summary",
    "table",
]

#: Shares of the full-data F1 whose cost is reported.
TARGETS = (0.95, 0.99)

_RESAMPLES = 2_000
_WORDS, _RE = COSTS.index("words"), SCORES.index("re_f1")


def describe_simulation(
    simulation: Simulation, *, cost: AnnotationCost, command: str
) -> dict[str, Any]:
    """Return the results of all finished records, as ``annotator simulate --json`` prints them."""
    replay, records = simulation.replay, simulation.records()
    return {
        "corpus": simulation.corpus.name,
        "strategies": describe_arms(
            records, arms=simulation.arms, n_rounds=len(replay.shares), cost=cost
        ),
        "stopping": describe_stopping(records),
        "pool": describe_pool(simulation.corpus),
        "n_test": len(simulation.corpus.test),
        "on": replay.on,
        "shares": list(replay.shares),
        "start": replay.start,
        "random_share": replay.random_share,
        "encoder": replay.encoder,
        "options": {**replay.options.training, **replay.options.model},
        "seeds": list(simulation.seeds),
        "cost_model": cost.to_json(),
        "models": {"done": len(records), "wanted": simulation.n_models},
        "device": ", ".join(sorted({str(record["device"]) for record in records})),
        "versions": versions(),
        "n_of_other_versions": sum(record["versions"] != versions() for record in records),
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe_arms(
    records: Sequence[Mapping[str, Any]],
    *,
    arms: Sequence[Arm],
    n_rounds: int,
    cost: AnnotationCost,
) -> dict[str, Any]:
    """Return the results of each arm, by its name.

    An arm is compared with random order over the seeds that both have finished. ``interval`` is the
    95 % interval of the ratio in words over resampled seeds; null with a single seed.
    """
    curves = read_curves(records, n_rounds=n_rounds, cost=cost)
    random = curves.get("random", {})
    found: dict[str, Any] = {}
    for arm in arms:
        own = curves.get(arm.name, {})
        seeds = sorted(set(own) & set(random))
        described: dict[str, Any] = {
            "construction": str(get_strategy(arm.strategy)),
            "diverse": arm.is_diverse,
            "seeds": seeds,
            "picked": profile([r for r in records if r["arm"] == arm.name]),
        }
        if seeds:
            described |= compare_curves(
                [own[seed] for seed in seeds], [random[seed] for seed in seeds]
            )
        found[arm.name] = described
    return found


def compare_curves(own: Sequence[Curve], random: Sequence[Curve]) -> dict[str, Any]:
    """Return costs and scores of an arm beside random order, from curves of the same seeds.

    The two may have different rounds: curves are linear between their points.
    """
    mine, theirs = mean_curve(own), mean_curve(random)
    costs = {t: (mine.cost_to(t * mine.full), theirs.cost_to(t * theirs.full)) for t in TARGETS}
    at_95 = float(costs[TARGETS[0]][0][_WORDS])
    gaps = [_gap(mine, theirs, float(words)) for words in mine.costs[:, _WORDS]]
    return {
        "cost_to": {f"{t:g}": _named(costs[t][0]) for t in TARGETS},
        "share_of_words": {
            f"{t:g}": round(float(costs[t][0][_WORDS] / mine.costs[-1, _WORDS]), 4) for t in TARGETS
        },
        "ratio_to_random": {
            f"{t:g}": {
                name: round(float(a / b), 4)
                for name, a, b in zip(COSTS, *costs[t], strict=True)
                if b > 0
            }
            for t in TARGETS
        },
        "interval": {f"{t:g}": _interval(own, random, t) for t in TARGETS},
        "worst_joint_gap": round(min(gaps), 4),
        "re_gap_at_95": round(float(mine.scores_at(at_95)[_RE] - theirs.scores_at(at_95)[_RE]), 4),
        "full_joint_f1": round(mine.full, 4),
        "curve": mine.to_json(),
    }


def _gap(mine: Curve, theirs: Curve, words: float) -> float:
    return float(mine.scores_at(words)[0] - theirs.scores_at(words)[0])


def _named(costs: Any) -> dict[str, float]:
    return {name: round(float(value), 1) for name, value in zip(COSTS, costs, strict=True)}


def _interval(own: Sequence[Curve], random: Sequence[Curve], target: float) -> list[float] | None:
    """Resample seeds, the same for both, and return the range of 95 % of the ratios."""
    n = len(own)
    if n < 2:
        return None
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(_RESAMPLES):
        drawn = rng.integers(n, size=n)
        mine, theirs = mean_curve([own[i] for i in drawn]), mean_curve([random[i] for i in drawn])
        costs = [one.cost_to(target * one.full)[_WORDS] for one in (mine, theirs)]
        ratios.append(costs[0] / costs[1])
    low, high = np.quantile(ratios, (0.025, 0.975))
    return [round(float(low), 4), round(float(high), 4)]


def profile(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the picked sentences are like: means per sentence and the share of empty ones."""
    picked = [r["profile"] for r in records if r["arm"] not in (START, FULL)]
    return _rates({key: sum(one[key] for one in picked) for key in picked[0]}) if picked else {}


def describe_pool(corpus: SimulatedCorpus) -> dict[str, Any]:
    """Return what the pool consists of."""
    counts = count_labels(corpus.pool)
    return {**counts, **_rates(counts)}


def _rates(counts: Mapping[str, int]) -> dict[str, float]:
    n = max(1, counts["sentences"])
    return {
        "words_per_sentence": round(counts["words"] / n, 2),
        "entities_per_sentence": round(counts["entities"] / n, 2),
        "relations_per_sentence": round(counts["relations"] / n, 2),
        "empty_share": round(counts["empty"] / n, 4),
    }


def put_summary(path: Path, value: Mapping[str, Any], *, default: str) -> bool:
    """Put the ratios of one corpus into a file that holds those of several.

    Returns:
        False if there is no ratio yet; the file is then left as it is.

    Raises:
        InputError: if the file exists and is not such a file.
    """
    try:
        table = json.loads(path.read_bytes()) if path.exists() else {"corpora": {}}
        corpora: dict[str, Any] = table["corpora"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"cannot read {path} ({type(error).__name__}): give a file that --summary wrote, or "
            "one that is not there yet"
        ) from error
    compared = {name: one for name, one in value["strategies"].items() if "ratio_to_random" in one}
    if set(compared) <= {"random"}:
        return False
    corpora[value["corpus"].replace("-", "_")] = {
        **{
            f"ratio_words_{t * 100:g}": {
                name: one["ratio_to_random"][f"{t:g}"]["words"] for name, one in compared.items()
            }
            for t in TARGETS
        },
        "interval_95": {name: one["interval"]["0.95"] for name, one in compared.items()},
        "seeds": {name: one["seeds"] for name, one in value["strategies"].items()},
        "command": value["command"],
        "device": value["device"],
    }
    text = json.dumps({"default": default, "corpora": corpora}, indent=1) + "\n"
    write_atomically(path, text)
    return True


def table(value: Mapping[str, Any]) -> list[str]:
    """Return the lines of the printed table: one per strategy, cheapest first."""
    head = (
        f"{value['corpus']}, scored on {value['on']}: models trained: "
        f"{value['models']['done']} of {value['models']['wanted']}"
    )
    lines = [
        head,
        f"{'strategy':<22}{'seeds':>6}{'words to 95 %':>15}{'ratio':>8}{'interval':>14}"
        f"{'words to 99 %':>15}{'ratio':>8}{'worst gap':>11}{'words/sentence':>16}{'empty':>7}",
    ]
    arms = sorted(
        value["strategies"].items(),
        key=lambda item: item[1].get("share_of_words", {}).get("0.95", 2.0),
    )
    for name, one in arms:
        if "cost_to" not in one:
            lines.append(f"{name:<22}{0:>6}  not finished with any seed")
            continue
        interval = one["interval"]["0.95"]
        between = "" if interval is None else f"{interval[0]:.2f}-{interval[1]:.2f}"
        lines.append(
            f"{name:<22}{len(one['seeds']):>6}"
            f"{one['share_of_words']['0.95']:>14.0%} "
            f"{one['ratio_to_random']['0.95']['words']:>8.2f}"
            f"{between:>14}{one['share_of_words']['0.99']:>14.0%} "
            f"{one['ratio_to_random']['0.99']['words']:>8.2f}{one['worst_joint_gap']:>11.2f}"
            f"{one['picked']['words_per_sentence']:>16.1f}{one['picked']['empty_share']:>7.0%}"
        )
    return lines + (stopping_lines(value["stopping"]) if "stopping" in value else [])


def draw_chart(value: Mapping[str, Any]) -> LineChart:
    """Return the mean curves of all strategies with at least one finished seed."""
    finished = {name: one for name, one in value["strategies"].items() if "curve" in one}
    full = max((one["full_joint_f1"] for one in finished.values()), default=0.0)
    return LineChart(
        title=f"{value['corpus']}: joint F1 over the words that were labelled",
        x_title="words labelled",
        y_title="mean of entity and relation F1, strict",
        lines=tuple(
            Line(
                name=name,
                points=tuple((point["words"], point["joint_f1"]) for point in one["curve"]),
            )
            for name, one in finished.items()
        ),
        levels=tuple((f"{t:.0%} of the full-data F1", t * full) for t in TARGETS if finished),
    )
