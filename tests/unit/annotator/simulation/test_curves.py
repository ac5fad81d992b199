"""Costs and ratios on curves that are drawn by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotator.active.cost import AnnotationCost
from annotator.errors import InputError
from annotator.simulation import Arm, put_summary
from annotator.simulation.curves import COSTS, Curve, read_curves
from annotator.simulation.report import describe_arms, draw_chart, table

SHARES = (0.1, 0.3, 0.5)


def make_records(
    arm: str, joints: tuple[float, ...], *, seed: int = 0, full: float = 80.0
) -> list[dict[str, Any]]:
    """Start at 40 with 100 words, then 300 and 500 words, and 1,000 for all data."""
    rows = [("start", 0, 100, 40.0)]
    rows += [(arm, i, 200 * i + 100, joint) for i, joint in enumerate(joints, start=1)]
    rows += [("full", 0, 1000, full)]
    return [
        {
            "arm": name,
            "seed": seed,
            "round": i_round,
            "labelled": {
                "sentences": words // 10,
                "words": words,
                "entities": words // 5,
                "relations": words // 20,
                "empty": 0,
            },
            "profile": {"sentences": 20, "words": 200, "entities": 40, "relations": 10, "empty": 5},
            "joint_f1": joint,
            "ner_f1": joint + 10,
            "re_f1": joint - 10,
            "device": "cpu",
        }
        for name, i_round, words, joint in rows
    ]


def describe(records: list[dict[str, Any]], *names: str) -> dict[str, Any]:
    return describe_arms(
        records,
        arms=[Arm(name) for name in names],
        n_rounds=len(SHARES),
        cost=AnnotationCost(),
    )


def make_curve(*points: tuple[float, float]) -> Curve:
    words = np.array([w for w, _ in points])
    return Curve(
        costs=np.stack([words] * len(COSTS), axis=1),
        scores=np.array([[joint, joint, joint] for _, joint in points]),
    )


@pytest.mark.parametrize(
    ("target", "words"),
    [(50.0, 200.0), (60.0, 300.0), (70.0, 650.0), (30.0, 100.0), (90.0, 1000.0)],
    ids=["between", "at a point", "after a dent", "at the start", "never"],
)
def test_a_target_is_reached_where_the_straight_line_crosses_it(
    target: float, words: float
) -> None:
    curve = make_curve((100, 40), (300, 60), (500, 58), (1000, 98 - 18))

    expected = 500 + (70 - 58) / (80 - 58) * 500 if target == 70.0 else words
    assert curve.cost_to(target)[COSTS.index("words")] == pytest.approx(expected)


def test_the_ratio_compares_words_to_the_same_share_of_the_full_score() -> None:
    records = make_records("mnlp", (76.0, 78.0)) + make_records("random", (58.0, 76.0))

    found = describe(records, "random", "mnlp")["mnlp"]

    assert found["cost_to"]["0.95"]["words"] == 300
    assert found["share_of_words"]["0.95"] == 0.3
    assert found["ratio_to_random"]["0.95"]["words"] == pytest.approx(0.6)
    assert found["cost_to"]["0.95"]["relations"] == 15
    assert found["re_gap_at_95"] == pytest.approx(18.0)


def test_seconds_follow_the_cost_of_sentences_words_and_labels() -> None:
    curves = read_curves(
        make_records("mnlp", (60.0, 70.0)),
        n_rounds=3,
        cost=AnnotationCost(sentence_s=1.0, word_s=0.1, entity_s=2.0, relation_s=10.0),
    )

    # 100 words: 10 sentences, 20 entities, 5 relations.
    assert curves["mnlp"][0].costs[0, COSTS.index("seconds")] == 10 + 10 + 40 + 50


def test_the_worst_budget_is_told_not_the_mean() -> None:
    records = make_records("mnlp", (70.0, 71.0)) + make_records("random", (60.0, 75.0))

    assert describe(records, "random", "mnlp")["mnlp"]["worst_joint_gap"] == pytest.approx(-4.0)


def test_one_seed_has_no_interval_and_several_have_one_around_the_ratio() -> None:
    records = make_records("mnlp", (76.0, 78.0)) + make_records("random", (58.0, 76.0))
    one = describe(records, "random", "mnlp")["mnlp"]
    for seed, shift in ((1, -2.0), (2, 1.5)):
        records += make_records("mnlp", (76.0 + shift, 78.0), seed=seed)
        records += make_records("random", (58.0 - shift, 76.0), seed=seed)
    three = describe(records, "random", "mnlp")["mnlp"]

    assert one["interval"]["0.95"] is None
    low, high = three["interval"]["0.95"]
    assert low <= three["ratio_to_random"]["0.95"]["words"] <= high
    assert low < high
    assert describe(records, "random")["random"]["interval"]["0.95"] == [1.0, 1.0]


def test_only_seeds_that_both_have_finished_are_compared() -> None:
    records = make_records("mnlp", (76.0, 78.0)) + make_records("random", (58.0, 76.0))
    records += make_records("random", (10.0, 20.0), seed=1)
    records += make_records("mnlp", (10.0, 20.0), seed=2)[:-1]

    assert describe(records, "random", "mnlp")["mnlp"]["seeds"] == [0]


def test_an_unfinished_arm_is_told_without_numbers() -> None:
    records = make_records("random", (58.0, 76.0)) + make_records("mnlp", (76.0, 78.0))[1:2]

    found = describe(records, "random", "mnlp")

    assert "ratio_to_random" not in found["mnlp"]
    assert found["mnlp"]["picked"]["empty_share"] == 0.25


@pytest.fixture
def value() -> dict[str, Any]:
    """What a simulation of mnlp and, unfinished, ltp says."""
    records = make_records("mnlp", (76.0, 78.0)) + make_records("random", (58.0, 76.0))
    return {
        "corpus": "ade-mixed",
        "on": "test",
        "models": {"done": 6, "wanted": 8},
        "strategies": describe(records, "random", "mnlp", "ltp"),
        "command": "annotator simulate ade-mixed",
        "device": "cpu",
    }


def test_the_summary_holds_several_corpora(value: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "simulations.json"

    put_summary(path, value, default="mnlp+diverse")
    put_summary(path, {**value, "corpus": "conll04"}, default="mnlp+diverse")

    table_ = json.loads(path.read_text())
    assert table_["default"] == "mnlp+diverse"
    assert set(table_["corpora"]) == {"ade_mixed", "conll04"}
    assert table_["corpora"]["ade_mixed"] == {
        "ratio_words_95": {"random": 1.0, "mnlp": 0.6},
        "ratio_words_99": {"random": 1.0, "mnlp": 0.8889},
        "interval_95": {"random": None, "mnlp": None},
        "seeds": {"random": [0], "mnlp": [0], "ltp": []},
        "command": "annotator simulate ade-mixed",
        "device": "cpu",
    }


def test_a_summary_without_a_ratio_is_not_written(value: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "simulations.json"
    only_random = {k: v for k, v in value["strategies"].items() if k != "mnlp"}

    assert not put_summary(path, {**value, "strategies": only_random}, default="mnlp")
    assert not path.exists()


def test_a_file_that_is_no_summary_is_left_alone(value: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("[]")

    with pytest.raises(InputError, match=r"notes\.json"):
        put_summary(path, value, default="mnlp+diverse")
    assert path.read_text() == "[]"


def test_people_read_the_cheapest_first_and_what_is_not_finished(value: dict[str, Any]) -> None:
    lines = table(value)

    assert [line.split()[0] for line in lines[2:]] == ["mnlp", "random", "ltp"]
    assert "0.60" in lines[2]
    assert "not finished" in lines[4]


def test_the_chart_has_a_line_for_each_finished_strategy(value: dict[str, Any]) -> None:
    chart = draw_chart(value)

    assert [line.name for line in chart.lines] == ["random", "mnlp"]
    assert chart.lines[1].points[1] == (300.0, 76.0)
    assert [level for _, level in chart.levels] == pytest.approx([76.0, 79.2])
