"""What the pages say of simulations follows from the records that lie beside them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from annotator.active.cost import AnnotationCost
from annotator.settings import Settings
from annotator.simulation import queue_arm, read_arms
from annotator.simulation.curves import COSTS, Curve, read_curves
from annotator.simulation.report import compare_curves, describe_arms
from annotator.simulation.stopping import describe_stopping

DOCS = Path(__file__).resolve().parents[2] / "docs"
SUMMARY = json.loads((DOCS / "results" / "simulations.json").read_text("utf-8"))
MINUS = "\N{MINUS SIGN}"
TRAILS = {
    "conll04": "CoNLL04",
    "conll04_600": "CoNLL04 with 600 steps",
    "ade_mixed": "ADE among sentences without labels",
    "ade": "ADE alone",
    "ade_long": "ADE alone up to 88 %",
}


def read_records(name: str) -> list[dict[str, Any]]:
    path = DOCS / "results" / "simulations" / f"{name}.json"
    return list(json.loads(path.read_text("utf-8"))["records"])


@cache
def describe_records(name: str) -> dict[str, Any]:
    records = read_records(name)
    names = sorted({record["arm"] for record in records} - {"start", "full"})
    n_rounds = max(record["round"] for record in records) + 1
    return describe_arms(records, arms=read_arms(names), n_rounds=n_rounds, cost=AnnotationCost())


def test_the_default_is_what_a_queue_does_by_default() -> None:
    assert SUMMARY["default"] == queue_arm(Settings.model_fields["strategy"].default).name
    assert all(SUMMARY["default"] in one["ratio_words_95"] for one in SUMMARY["corpora"].values())


@pytest.mark.parametrize("name", SUMMARY["corpora"])
def test_the_ratios_follow_from_the_records(name: str) -> None:
    described = describe_records(name)
    compared = {arm: one for arm, one in described.items() if "ratio_to_random" in one}
    corpus = SUMMARY["corpora"][name]

    for target in ("0.95", "0.99"):
        assert corpus[f"ratio_words_{float(target) * 100:g}"] == {
            arm: one["ratio_to_random"][target]["words"] for arm, one in compared.items()
        }
    assert corpus["interval_95"] == {arm: one["interval"]["0.95"] for arm, one in compared.items()}
    assert {len(corpus["seeds"][arm]) for arm in compared} == {3}


@pytest.mark.parametrize("name", [*SUMMARY["corpora"], "conll04_600"])
def test_the_page_shows_the_curves_and_ratios_of_the_records(name: str) -> None:
    page = (DOCS / "results.md").read_text("utf-8")
    described = describe_records(name)

    for arm, one in described.items():
        points = " | ".join(f"{point['joint_f1']:.1f}" for point in one["curve"])
        share = f"{one['share_of_words']['0.95'] * 100:.0f} %"
        ratio = f"{one['ratio_to_random']['0.95']['words']:.2f}"
        assert f"| `{arm}` | {points} | {share} | {ratio} |" in page


@pytest.mark.parametrize(("name", "title"), TRAILS.items())
def test_the_page_says_when_it_would_have_advised_to_stop(name: str, title: str) -> None:
    page = (DOCS / "results.md").read_text("utf-8")
    found = describe_stopping(read_records(name))

    trails, told = found["stopped"]["as advised"], found["forecasts"]
    n_stopped = sum(row["round"] is not None for row in trails)
    n_within = sum(one["low"] <= one["joint_f1"] <= one["high"] for one in told)
    off = f"{fmean(one['joint_f1'] - one['middle'] for one in told):+.1f}".replace("-", MINUS)
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {title}, {len(trails)} |")]
    assert line.startswith(f"| {title}, {len(trails)} | {n_stopped} |")
    assert line.endswith(f"| {n_within} of {len(told)} | {off} |")
    for row in trails:
        assert row["round"] is None or f"{row['left']:.1f}".replace("-", MINUS) in line


@cache
def read_sizes_of_rounds() -> dict[str, tuple[list[Curve], list[Curve]]]:
    """Each order's curves by seed on CoNLL04, 600 steps a model: larger rounds, smaller ones."""
    cost = AnnotationCost()
    large = read_curves(read_records("conll04_600"), n_rounds=5, cost=cost)
    small = {
        **read_curves(read_records("conll04_fine"), n_rounds=5, cost=cost),
        **read_curves(read_records("conll04_fine_random"), n_rounds=7, cost=cost),
    }
    assert {tuple(curves) for one in (large, small) for curves in one.values()} == {(1, 2, 3)}
    return {name: (list(large[name].values()), list(small[name].values())) for name in large}


def words_to_95(curves: list[Curve]) -> Any:
    return np.array([one.cost_to(0.95 * one.full)[COSTS.index("words")] for one in curves])


def test_the_page_shows_both_orders_with_smaller_rounds() -> None:
    page = (DOCS / "results.md").read_text("utf-8")
    curves = read_sizes_of_rounds()
    (_, own), (_, random) = curves["mnlp+diverse"], curves["random"]
    assert all(max(one.scores[:-1, 0]) >= 0.95 * one.full for one in own)

    for name, mine in (("mnlp+diverse", own), ("random", random)):
        found = compare_curves(mine, random)
        *rounds, full = (f"{point['joint_f1']:.1f}" for point in found["curve"])
        points = " | ".join(rounds) + " |" * (7 - len(rounds)) + f" | {full}"
        share, ratio = found["share_of_words"]["0.95"], found["ratio_to_random"]["0.95"]["words"]
        low, high = found["interval"]["0.95"]
        interval = f" {low:.2f} to {high:.2f} |" * (name != "random")
        row = f"| `{name}` | {points} | {share * 100:.0f} % | {ratio:.2f} |{interval}"
        assert row in page


def test_the_page_shows_both_sizes_of_rounds_together() -> None:
    page = " ".join((DOCS / "results.md").read_text("utf-8").split())
    curves = read_sizes_of_rounds()
    n_words = curves["random"][0][0].costs[-1, COSTS.index("words")]
    words = {name: np.stack([*map(words_to_95, sizes)]) for name, sizes in curves.items()}
    own, random = words["mnlp+diverse"], words["random"]

    ratio, by_seed = own.sum() / random.sum(), own.sum(axis=0) / random.sum(axis=0)
    more = random[1].sum() / random[0].sum() - 1.0
    last = [one.costs[-2, COSTS.index("words")] for one in curves["random"][1]]
    at_most = own.sum() / (random[0].sum() + np.minimum(random[1], last).sum())

    low, middle, high = (f"{one:.2f}" for one in by_seed)
    spans = [
        f"{x.min() / n_words * 100:.0f} to {x.max() / n_words * 100:.0f} %" for x in (random, own)
    ]
    assert f"of the default need are {ratio:.2f} of those" in page
    assert f"({low}, {middle} and {high} by seed)" in page
    assert f"had they been there at 55 %, it would be {at_most:.2f} over both sizes" in page
    assert f"needs {more * 100:.0f} % more words with them" in page
    assert f"trajectories need {spans[0]} of the words, the default's {spans[1]}" in page
