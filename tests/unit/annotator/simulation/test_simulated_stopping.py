"""Where a project would have been advised to stop, on rounds made by hand."""

from __future__ import annotations

from typing import Any

import pytest

from annotator.simulation.stopping import describe_stopping, stopping_lines


def make_rounds(*rounds: float) -> list[dict[str, Any]]:
    """Start with 60 points; each round doubles the words; all data has 80 points."""
    rows = [("start", 0, 60.0), *(("mnlp", i, joint) for i, joint in enumerate(rounds, start=1))]
    records = [
        {
            "arm": arm,
            "seed": 3,
            "round": i,
            "labelled": {"words": 1_000 * 2**i},
            "joint_f1": joint,
            "joint_f1_error": 0.5,
        }
        for arm, i, joint in rows
    ]
    full = {"arm": "full", "round": 0, "labelled": {"words": 20_000}, "joint_f1": 80.0}
    return [*records, {**records[0], **full}]


def stops(records: list[dict[str, Any]], rule: str = "as advised") -> dict[str, Any]:
    (found,) = describe_stopping(records)["stopped"][rule]
    return dict(found)


FLAT = [78.5] * 3


def test_the_first_round_that_was_advised_is_found_with_what_was_left() -> None:
    records = make_rounds(60.0, 60.0, 60.0)

    found = stops(records)

    # three points are too few for a curve
    assert (found["round"], found["words"], found["share_of_words"]) == (3, 8_000, 0.4)
    assert (found["joint_f1"], found["left"]) == (60.0, 20.0)


def test_a_curve_that_rises_is_advised_to_go_on() -> None:
    rising = make_rounds(65.0, 70.0, 75.0, 80.0)

    assert stops(rising)["round"] is None


def test_a_looser_rule_stops_where_the_product_would_not() -> None:
    slow = make_rounds(*[60.0 + 4.0 * i for i in range(1, 5)])

    assert stops(slow)["round"] is None
    assert stops(slow, "loose")["round"] == 3


def test_what_the_curve_said_of_the_next_model_stands_beside_what_it_was() -> None:
    records = make_rounds(66.0, 70.0, 72.0)

    (last,) = describe_stopping(records)["forecasts"]

    assert (last["arm"], last["seed"]) == ("mnlp", 3)
    assert (last["from_words"], last["words"], last["joint_f1"]) == (8_000, 20_000, 80.0)
    assert last["low"] < last["middle"] < last["high"]
    assert 73.0 < last["middle"] < 76.0
    lines = stopping_lines(describe_stopping(records))
    assert "the curve told the next model's F1 1 times" in lines[-1]


def test_scores_without_an_error_are_no_curve() -> None:
    old = make_rounds(60.0, 60.0)
    for record in old:
        del record["joint_f1_error"]

    value = describe_stopping(old)

    assert value["rounds"] == []
    assert stopping_lines(value) == []


@pytest.mark.parametrize("missing", ["start", "full"], ids=["start", "full"])
def test_an_arm_whose_start_or_full_model_is_lacking_waits(missing: str) -> None:
    records = [r for r in make_rounds(*FLAT) if r["arm"] != missing]

    assert describe_stopping(records)["rounds"] == []


def test_the_lines_say_how_often_and_at_what_price() -> None:
    lines = stopping_lines(describe_stopping(make_rounds(*[60.0] * 3)))

    assert lines[2].split() == ["as", "advised", "1", "of", "1", "40%", "20.00", "20.00"]
    assert lines[-2] == (
        "mnlp seed 3: advised after round 3, at 40% of the words; 20.00 points of F1 left"
    )
