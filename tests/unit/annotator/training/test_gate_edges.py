"""The gate on made-up score tables, at the edges of its rules."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.training import Counts, Decision, Evaluation, LayerEvaluation, decide

Row = tuple[int, int, int, int, int, int]


def table(rows: list[Row], **types: tuple[int, int, int]) -> Evaluation:
    """Scores of sentences, and of types as ``name=(tp, predicted, gold)``; relations begin R_."""
    counts = np.array(rows, dtype=np.int64).reshape(-1, 6)
    layers = []
    for first, is_relation in ((0, False), (3, True)):
        tp, n_pred, n_gold = counts[:, first : first + 3].sum(axis=0).tolist()
        micro = Counts(tp=tp, n_pred=n_pred, n_gold=n_gold)
        found = {
            name: Counts(tp=c[0], n_pred=c[1], n_gold=c[2])
            for name, c in types.items()
            if name.startswith("R_") == is_relation
        }
        layers.append(LayerEvaluation(micro=micro, boundary=micro, types=found))
    return Evaluation(ner=layers[0], re=layers[1], sentence_counts=counts)


def judge(candidate: Evaluation, incumbent: Evaluation | None, **options: float) -> Decision:
    return decide(candidate, incumbent, rng=np.random.default_rng(3), **options)


SAME = [(8, 10, 10, 3, 5, 5)] * 40
UNSURE = (
    table([(9, 10, 10, 0, 0, 0), (7, 10, 10, 0, 0, 0)] * 20),
    table([(8, 10, 10, 0, 0, 0), (8, 10, 10, 0, 0, 0)] * 20),
)


def test_a_probability_exactly_as_high_as_needed_is_enough() -> None:
    measured = judge(*UNSURE).probability

    assert measured is not None
    assert 0.5 < measured < 1.0
    assert judge(*UNSURE, confidence=measured).promote
    assert not judge(*UNSURE, confidence=float(np.nextafter(measured, 1.0))).promote


def test_a_change_of_exactly_the_tolerance_is_too_much() -> None:
    # 80 against 80.5 in each sentence, so that every resample says the same.
    worse, better = table([(160, 200, 200, 0, 0, 0)] * 9), table([(161, 200, 200, 0, 0, 0)] * 9)

    assert judge(worse, better).probability == 0.0
    assert judge(worse, better, tolerance=0.51).probability == 1.0


@pytest.mark.parametrize(
    ("before", "after", "promoted"),
    [
        ((80, 100, 100), (77, 100, 100), True),
        ((800, 1000, 1000), (769, 1000, 1000), False),
        ((80, 100, 100), (76, 100, 100), False),
        # Three points exactly, but more in floating point.
        ((2, 24, 24), (2, 51, 24), True),
        ((25, 50, 50), (47, 100, 100), True),
    ],
    ids=["3.0", "3.1", "4.0", "8.33 to 5.33", "50 to 47"],
)
@pytest.mark.parametrize("kind", ["Drug", "R_causes"])
def test_a_type_may_fall_by_three_points_and_no_more(
    kind: str, before: tuple[int, int, int], after: tuple[int, int, int], *, promoted: bool
) -> None:
    decision = judge(table(SAME, **{kind: after}), table(SAME, **{kind: before}))

    assert decision.promote is promoted
    assert any(kind in reason for reason in decision.reasons) is not promoted


@pytest.mark.parametrize("total", range(47, 400, 11))
def test_three_points_are_three_points_in_any_arithmetic(total: int) -> None:
    # F1 = 200 tp / (predicted + gold): 3 points are 3 of 200 x total.
    gold = 100 * total
    old = (40 * total, gold, gold)
    new = (37 * total, gold, gold)

    assert judge(table(SAME, Drug=new), table(SAME, Drug=old)).promote


@pytest.mark.parametrize(("n_gold", "promoted"), [(19, True), (20, False)])
def test_a_type_counts_from_twenty_gold_items_on(n_gold: int, *, promoted: bool) -> None:
    before, after = (n_gold, n_gold, n_gold), (0, 0, n_gold)

    assert judge(table(SAME, Drug=after), table(SAME, Drug=before)).promote is promoted


def test_a_type_that_one_model_alone_predicts_decides_nothing() -> None:
    invented = table(SAME, Drug=(20, 20, 20), Ghost=(0, 30, 0))
    plain = table(SAME, Drug=(20, 20, 20))

    assert judge(invented, plain).promote
    assert judge(plain, invented).promote


def test_a_type_that_the_candidate_no_longer_finds_holds_it() -> None:
    decision = judge(table(SAME, Drug=(0, 0, 25)), table(SAME, Drug=(20, 25, 25)))

    assert not decision.promote
    assert "from 80.0 to 0.0" in decision.reasons[1]


def test_a_type_that_is_new_to_the_candidate_helps_it() -> None:
    assert judge(table(SAME, New=(20, 25, 25)), table(SAME, New=(0, 0, 25))).promote


def test_without_gold_relations_a_false_one_does_not_halve_the_score() -> None:
    alarmed = table([(8, 10, 10, 0, 1, 0), *[(8, 10, 10, 0, 0, 0)] * 39])
    silent = table([(8, 10, 10, 0, 0, 0)] * 40)

    decision = judge(alarmed, silent)

    assert decision.promote
    assert decision.probability == 1.0
    assert "80.0 against 80.0" in decision.reasons[0]


def test_relations_count_half_where_the_gold_has_some() -> None:
    worse = table([(8, 10, 10, 2, 5, 5)] * 40)

    decision = judge(worse, table(SAME))

    assert not decision.promote
    assert "60.0 against 70.0" in decision.reasons[0]


@pytest.mark.parametrize(
    ("new", "promoted"),
    [((5, 5, 5, 0, 0, 0), True), ((4, 5, 5, 0, 0, 0), False)],
    ids=["better", "worse"],
)
def test_one_sentence_is_judged_by_itself(new: Row, *, promoted: bool) -> None:
    old: Row = (5, 5, 5, 0, 0, 0)

    decision = judge(table([new]), table([old]))

    assert (decision.promote, decision.provisional) == (promoted, False)
    assert decision.probability == float(promoted)


@pytest.mark.parametrize("rows", [SAME, [(0, 0, 0, 0, 0, 0)] * 5], ids=["scores", "nothing"])
def test_a_model_is_no_worse_than_itself(rows: list[Row]) -> None:
    one = table(rows, Drug=(20, 25, 25))

    assert judge(one, one).promote


@pytest.mark.parametrize("incumbent", [None, table([])], ids=["first", "later"])
def test_without_a_hold_out_a_model_is_provisional(incumbent: Evaluation | None) -> None:
    decision = judge(table([]), incumbent)

    assert (decision.promote, decision.provisional, decision.probability) == (True, True, None)


def test_the_reason_tells_a_near_miss_from_a_hit() -> None:
    decision = judge(*UNSURE, confidence=0.999)

    assert f"= {decision.probability:.3f}, 0.999 needed" in decision.reasons[0]
