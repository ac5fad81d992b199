"""What the pages say of simulations follows from the records that lie beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotator.active.cost import AnnotationCost
from annotator.settings import Settings
from annotator.simulation import queue_arm, read_arms
from annotator.simulation.report import describe_arms

DOCS = Path(__file__).resolve().parents[2] / "docs"
SUMMARY = json.loads((DOCS / "results" / "simulations.json").read_text("utf-8"))


def describe_records(name: str) -> dict[str, Any]:
    path = DOCS / "results" / "simulations" / f"{name}.json"
    records = json.loads(path.read_text("utf-8"))["records"]
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
