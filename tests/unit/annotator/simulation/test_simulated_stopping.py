"""Where a project would have been advised to stop, on rounds made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotator.active.agreement import SeenSentence
from annotator.domain import WordEntity, WordRelation
from annotator.simulation.prediction_cache import load_seen, save_seen
from annotator.simulation.stopping import describe_stopping, stopping_lines

AGREED = {
    **{"n_sentences": 400, "n_words": 8_000, "tags": 0.995, "pairs": 0.99, "delta_f": 0.2},
    **{"n_entities": 900, "n_relations": 300},
}


def make_rounds(*rounds: tuple[float, dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Start with 60 points; each round doubles the words; all data has 80 points."""
    rows: list[tuple[str, int, float, dict[str, Any] | None]] = [("start", 0, 60.0, None)]
    rows += [("mnlp", i, joint, compared) for i, (joint, compared) in enumerate(rounds, start=1)]
    records = [
        {
            "arm": arm,
            "seed": 3,
            "round": i,
            "labelled": {"words": 1_000 * 2**i},
            "joint_f1": joint,
            "joint_f1_error": 0.5,
            "agreement": compared,
        }
        for arm, i, joint, compared in rows
    ]
    full = {"arm": "full", "round": 0, "labelled": {"words": 20_000}, "joint_f1": 80.0}
    return [*records, {**records[0], **full}]


def stops(records: list[dict[str, Any]], rule: str = "as advised") -> dict[str, Any]:
    (found,) = describe_stopping(records, has_relations=True)["stopped"][rule]
    return dict(found)


FLAT = [(78.5, AGREED)] * 3


def test_the_first_round_that_was_advised_is_found_with_what_was_left() -> None:
    records = make_rounds((60.0, AGREED), (60.0, AGREED), (60.0, AGREED))

    found = stops(records)

    # three points are too few for a curve
    assert (found["round"], found["words"], found["share_of_words"]) == (3, 8_000, 0.4)
    assert (found["joint_f1"], found["left"]) == (60.0, 20.0)


def test_a_curve_that_rises_is_advised_to_go_on() -> None:
    rising = make_rounds((65.0, AGREED), (70.0, AGREED), (75.0, AGREED), (80.0, AGREED))

    assert stops(rising)["round"] is None


def test_a_looser_rule_stops_where_the_product_would_not() -> None:
    slow = make_rounds(*[(60.0 + 4.0 * i, AGREED) for i in range(1, 5)])

    assert stops(slow)["round"] is None
    assert stops(slow, "loose")["round"] == 3


def test_the_rule_that_asks_for_agreement_stops_only_with_it() -> None:
    apart = {**AGREED, "tags": 0.5, "pairs": None, "delta_f": 40.0, "n_relations": 0}
    records = make_rounds(*[(60.0, apart)] * 3)

    assert stops(records)["round"] == 3
    assert stops(records, "if models agree too")["round"] is None
    assert stops(make_rounds(*[(60.0, AGREED)] * 3), "if models agree too")["round"] == 3


def test_comparisons_before_one_that_is_lacking_do_not_count() -> None:
    records = make_rounds((60.0, AGREED), (60.0, None), (60.0, AGREED))

    assert stops(records, "if models agree too")["round"] is None


def test_what_the_curve_said_of_the_next_model_stands_beside_what_it_was() -> None:
    records = make_rounds((66.0, AGREED), (70.0, AGREED), (72.0, AGREED))

    (last,) = describe_stopping(records, has_relations=True)["forecasts"]

    assert (last["arm"], last["seed"]) == ("mnlp", 3)
    assert (last["from_words"], last["words"], last["joint_f1"]) == (8_000, 20_000, 80.0)
    assert last["low"] < last["middle"] < last["high"]
    assert 73.0 < last["middle"] < 76.0
    lines = stopping_lines(describe_stopping(records, has_relations=True))
    assert "the curve told the next model's F1 1 times" in lines[-1]


def test_scores_without_an_error_are_no_curve() -> None:
    old = make_rounds((60.0, None), (60.0, None))
    for record in old:
        del record["agreement"], record["joint_f1_error"]

    value = describe_stopping(old, has_relations=True)

    assert value["rounds"] == []
    assert stopping_lines(value) == []


@pytest.mark.parametrize("missing", ["start", "full"], ids=["start", "full"])
def test_an_arm_whose_start_or_full_model_is_lacking_waits(missing: str) -> None:
    records = [r for r in make_rounds(*FLAT) if r["arm"] != missing]

    assert describe_stopping(records, has_relations=True)["rounds"] == []


def test_the_lines_say_how_often_and_at_what_price() -> None:
    lines = stopping_lines(
        describe_stopping(make_rounds(*[(60.0, AGREED)] * 3), has_relations=True)
    )

    assert lines[2].split() == ["as", "advised", "1", "of", "1", "40%", "20.00", "20.00"]
    assert lines[-2] == (
        "mnlp seed 3: advised after round 3, at 40% of the words; 20.00 points of F1 left"
    )


def test_what_a_model_saw_is_kept_and_read_again(tmp_path: Path) -> None:
    seen = [
        SeenSentence(
            n_words=4,
            entities=[
                WordEntity(type="Drug", first=0, last=1),
                WordEntity(type="E", first=3, last=3),
            ],
            relations=[WordRelation(type="causes", head=0, tail=1)],
        ),
        SeenSentence(n_words=0, entities=[], relations=[]),
    ]

    save_seen(tmp_path / "seen" / "a.json", seen)

    assert load_seen(tmp_path / "seen" / "a.json") == seen


@pytest.mark.parametrize(
    "text", [None, "[[1,", "[3]"], ids=["absent", "cut short", "something else"]
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)

    assert load_seen(path) is None
