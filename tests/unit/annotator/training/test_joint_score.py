"""The joint F1 that the gate compares and the curves show."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.training import Counts, Evaluation, LayerEvaluation, decide
from annotator.training.gate import JointScore, joint_f1, measure_joint


def scored(rows: list[list[int]], relations: dict[str, Counts] | None = None) -> Evaluation:
    """Scores of sentences, the columns in the order of ``evaluation.COLUMNS``."""
    empty = LayerEvaluation(micro=Counts(), boundary=Counts(), types={})
    re = LayerEvaluation(micro=Counts(), boundary=Counts(), types=relations or {})
    counts = np.array(rows, dtype=np.int64).reshape(-1, 6)
    return Evaluation(ner=empty, re=re, sentence_counts=counts)


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
    two = scored([[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]])

    score = measure_joint(two, rng=np.random.default_rng(1), n_resamples=4_000)

    assert score is not None
    assert (score.low, score.f1, score.high) == (0.0, 50.0, 100.0)
    assert score.error == pytest.approx(50 / np.sqrt(2), rel=0.05)


def test_the_interval_holds_ninety_five_per_cent() -> None:
    many = scored([[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]] * 200)

    score = measure_joint(many, rng=np.random.default_rng(1), n_resamples=4_000)

    assert score is not None
    assert (score.high - score.low) / score.error == pytest.approx(2 * 1.96, rel=0.05)
    assert score.low < score.f1 < score.high


def test_the_same_generator_gives_the_same_error() -> None:
    some = scored([[1, 1, 1, 0, 0, 0], [0, 1, 1, 0, 0, 0]] * 9)

    first, again = (measure_joint(some, rng=np.random.default_rng(2)) for _ in range(2))

    assert first == again


def test_without_sentences_there_is_no_score() -> None:
    assert measure_joint(scored([]), rng=np.random.default_rng(1)) is None


def test_a_score_in_json_has_four_digits() -> None:
    score = JointScore(f1=200 / 3, low=50.0, high=0.00004, error=1 / 3)

    assert score.to_json() == {"f1": 66.6667, "low": 50.0, "high": 0.0, "error": 0.3333}


def test_the_first_model_is_promoted_with_the_reason() -> None:
    decision = decide(scored([[1, 1, 1, 0, 0, 0]]), None, rng=np.random.default_rng(1))

    assert ["active model" in reason for reason in decision.reasons] == [True]


def test_a_falling_relation_type_is_called_one() -> None:
    rows = [[1, 1, 1, 1, 1, 1]]
    before = scored(rows, {"causes": Counts(tp=20, n_pred=20, n_gold=20)})
    after = scored(rows, {"causes": Counts(tp=10, n_pred=20, n_gold=20)})

    decision = decide(after, before, rng=np.random.default_rng(1))

    assert decision.reasons[1].startswith("relation type causes falls from 100.0 to 50.0")
