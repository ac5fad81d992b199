"""The joint F1 that the gate compares and the curves show."""

from __future__ import annotations

import numpy as np
import pytest
from score_tables import make_scores

from annotator.training.joint_score import JointScore, joint_f1, measure_joint

HALF = [{"Drug": (1, 1, 1)}, {"Drug": (0, 1, 1)}]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([3, 4, 8, 0, 0, 0], 50.0),
        ([3, 8, 4, 0, 0, 0], 50.0),
        ([0, 0, 0, 3, 4, 8], 25.0),
        ([0, 0, 0, 3, 8, 4], 25.0),
        ([4, 4, 4, 0, 2, 1], 50.0),
        ([4, 4, 4, 0, 2, 0], 100.0),
        ([0, 0, 0, 0, 0, 0], 0.0),
    ],
    ids=[
        *("entities missed", "false entities", "relations missed", "false relations"),
        *("one gold relation missed", "no gold relation", "nothing at all"),
    ],
)
def test_what_is_missed_and_what_is_false_cost_the_same(counts: list[int], expected: float) -> None:
    assert joint_f1(np.array(counts)) == pytest.approx(expected)


def test_the_error_of_two_sentences_is_that_of_drawing_them_again() -> None:
    # Drawn twice from one right and one wrong: F1 0, 50 and 100 in 1 : 2 : 1.
    two = make_scores(HALF)

    score = measure_joint(two, rng=np.random.default_rng(1), n_resamples=4_000)

    assert score is not None
    assert (score.low, score.f1, score.high) == (0.0, 50.0, 100.0)
    assert score.error == pytest.approx(50 / np.sqrt(2), rel=0.05)


def test_the_interval_holds_ninety_five_per_cent() -> None:
    many = make_scores(HALF * 200)

    score = measure_joint(many, rng=np.random.default_rng(1), n_resamples=4_000)

    assert score is not None
    assert (score.high - score.low) / score.error == pytest.approx(2 * 1.96, rel=0.05)
    assert score.low < score.f1 < score.high


def test_the_same_generator_gives_the_same_error() -> None:
    some = make_scores(HALF * 9)

    first, again = (measure_joint(some, rng=np.random.default_rng(2)) for _ in range(2))

    assert first == again


def test_without_sentences_there_is_no_score() -> None:
    assert measure_joint(make_scores([]), rng=np.random.default_rng(1)) is None


def test_a_score_in_json_has_four_digits() -> None:
    score = JointScore(f1=200 / 3, low=50.0, high=0.00004, error=1 / 3)

    assert score.to_json() == {"f1": 66.6667, "low": 50.0, "high": 0.0, "error": 0.3333}


def test_sentences_of_a_group_are_drawn_together() -> None:
    # Ten sentences each that are all right or all wrong are worth one.
    rows = [sentence for i in range(100) for sentence in [HALF[i % 2]] * 10]
    apart, together = (
        measure_joint(make_scores(rows, groups=groups), rng=np.random.default_rng(1))
        for groups in (None, [f"note {i // 10}" for i in range(1_000)])
    )

    assert apart is not None
    assert together is not None
    assert apart.f1 == together.f1 == 50.0
    assert together.error / apart.error == pytest.approx(np.sqrt(10), rel=0.1)


def test_of_very_few_groups_the_sentences_are_drawn() -> None:
    groups = [f"note {i % 4}" for i in range(100)]

    score = measure_joint(make_scores(HALF * 50, groups=groups), rng=np.random.default_rng(1))

    assert score is not None
    assert score.error == pytest.approx(5.0, rel=0.1)  # 100 * sqrt(0.25 / 100)
