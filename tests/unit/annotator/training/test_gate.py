from __future__ import annotations

import numpy as np
import pytest

from annotator.errors import ShapeError
from annotator.training import Counts, Evaluation, LayerEvaluation, decide
from annotator.training.gate import joint_f1


def make_evaluation(tp: list[int], *, n: int = 100, type_tp: int | None = None) -> Evaluation:
    """``tp`` entities right of 10 predicted and 10 gold in each sentence; no relations."""
    rows = [[tp[i % len(tp)], 10, 10, 0, 0, 0] for i in range(n)]
    counts = np.array(rows, dtype=np.int64).reshape(-1, 6)
    total = int(counts[:, 0].sum())
    micro = Counts(tp=total, n_pred=10 * n, n_gold=10 * n)
    types = {"Drug": Counts(tp=total if type_tp is None else type_tp, n_pred=30, n_gold=30)}
    return Evaluation(
        ner=LayerEvaluation(micro=micro, boundary=micro, types=types),
        re=LayerEvaluation(micro=Counts(), boundary=Counts(), types={}),
        sentence_counts=counts,
    )


def test_better_candidate_is_promoted(rng: np.random.Generator) -> None:
    decision = decide(
        make_evaluation([8, 9], type_tp=25), make_evaluation([7, 8], type_tp=24), rng=rng
    )

    assert decision.promote
    assert not decision.provisional
    assert decision.probability == 1.0


def test_worse_candidate_is_held_with_the_numbers(rng: np.random.Generator) -> None:
    decision = decide(make_evaluation([7], type_tp=25), make_evaluation([8], type_tp=25), rng=rng)

    assert not decision.promote
    assert decision.probability == 0.0
    assert "70.0 against 80.0" in decision.reasons[0]


def test_equal_candidate_is_promoted(rng: np.random.Generator) -> None:
    same = make_evaluation([8], type_tp=25)

    assert decide(same, same, rng=rng).promote


def test_type_that_falls_holds_a_better_candidate(rng: np.random.Generator) -> None:
    decision = decide(make_evaluation([9], type_tp=20), make_evaluation([8], type_tp=25), rng=rng)

    assert not decision.promote
    assert "entity type Drug falls from 83.3 to 66.7" in decision.reasons[1]


def test_type_with_few_gold_items_may_fall(rng: np.random.Generator) -> None:
    decision = decide(
        make_evaluation([9], type_tp=20),
        make_evaluation([8], type_tp=25),
        rng=rng,
        min_type_gold=31,
    )

    assert decision.promote


def test_first_model_is_promoted(rng: np.random.Generator) -> None:
    decision = decide(make_evaluation([1]), None, rng=rng)

    assert (decision.promote, decision.provisional) == (True, False)


@pytest.mark.parametrize("incumbent", [None, make_evaluation([1], n=0)], ids=["first", "later"])
def test_model_without_hold_out_is_provisional(
    rng: np.random.Generator, incumbent: Evaluation | None
) -> None:
    decision = decide(make_evaluation([1], n=0), incumbent, rng=rng)

    assert (decision.promote, decision.provisional) == (True, True)
    assert "hold-out" in decision.reasons[0]


def test_other_hold_out_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError, match="same hold-out"):
        decide(make_evaluation([1]), make_evaluation([1], n=50), rng=rng)


def test_same_generator_gives_the_same_decision() -> None:
    pair = make_evaluation([7, 9, 5]), make_evaluation([8, 7, 6])

    first, again = (decide(*pair, rng=np.random.default_rng(1)) for _ in range(2))

    assert first == again


def test_joint_score_is_the_mean_of_entities_and_relations() -> None:
    counts = np.array([[8, 10, 10, 3, 5, 5], [8, 10, 10, 0, 0, 0]])

    assert joint_f1(counts).tolist() == [70.0, 80.0]
