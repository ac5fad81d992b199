"""Advice on stopping, at the edges of each rule."""

from __future__ import annotations

from math import nan
from typing import Any

import pytest

from annotator.active.agreement import Agreement
from annotator.active.forecast import Gain
from annotator.active.stopping import Advice, StopRule, advise

FLAT = Gain(growth=1.1, gain=0.1, low=-0.14, high=0.3, n=5)
WIDE = Gain(growth=1.1, gain=0.4, low=-0.8, high=1.6, n=4)
RISING = Gain(growth=1.1, gain=0.4, low=0.1, high=0.7, n=5)


def agree(**changed: Any) -> Agreement:
    given = {
        **{"n_sentences": 400, "n_words": 8_000, "tags": 0.995, "pairs": 0.98},
        **{"n_entities": 500, "n_relations": 90, "delta_f": 0.3},
    }
    return Agreement(**{**given, **changed})


def ask(
    *agreements: Agreement,
    gain: Gain | None = FLAT,
    has_relations: bool = True,
    rule: StopRule | None = None,
) -> Advice:
    return advise(
        gain, agreements=agreements or (agree(), agree()), has_relations=has_relations, rule=rule
    )


def test_a_flat_curve_is_enough_and_agreement_is_told() -> None:
    assert ask() == Advice(
        state="stop",
        reasons=(
            "10% more words would bring +0.10 points of F1 (-0.14 to +0.30)",
            "the last 3 models agree",
        ),
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tags": 0.989}, "differ on word tags: kappa 0.989, less than 0.99"),
        ({"pairs": 0.969}, "differ on relations: kappa 0.969, less than 0.97"),
        ({"delta_f": 0.51}, "up to 0.5 points of F1 is predicted, more than 0.5"),
    ],
    ids=["tags", "pairs", "delta"],
)
@pytest.mark.parametrize("place", [0, 1], ids=["the one before", "the last"])
def test_models_that_differ_are_told_and_decide_nothing(
    changed: dict[str, float], reason: str, place: int
) -> None:
    both = [agree(), agree()]
    both[place] = agree(**changed)

    told = ask(*both)

    assert told.state == "stop"
    assert reason in told.reasons[1]


def test_values_on_the_threshold_are_enough() -> None:
    edge = agree(tags=0.99, pairs=0.97, delta_f=0.5, n_words=2_000, n_relations=30)

    assert ask(edge, edge) == ask()


def test_what_was_long_ago_does_not_count() -> None:
    assert ask(agree(tags=0.5), agree(), agree()) == ask()


def test_all_in_which_models_differ_is_told() -> None:
    advice = ask(agree(tags=0.9), agree(pairs=0.8))

    assert [reason[:36] for reason in advice.reasons[1:]] == [
        "successive models differ on word tag",
        "successive models differ on relation",
    ]


@pytest.mark.parametrize(
    ("gain", "state", "reason"),
    [
        (RISING, "continue", "10% more words would bring +0.40 points of F1 (+0.10 to +0.70)"),
        (None, "unknown", "fewer than 4 models"),
        (WIDE, "unknown", "the hold-out is too small"),
        (Gain(growth=1.1, gain=-0.3, low=-0.5, high=-0.1, n=5), "unknown", "falls"),
        (Gain(growth=1.1, gain=0.3, low=0.1, high=0.5, n=5), "continue", "10% more words"),
        (Gain(growth=1.1, gain=0.3, low=0.1, high=0.49, n=5), "stop", "10% more words"),
        (Gain(growth=1.1, gain=-0.1, low=-0.3, high=0.0, n=5), "stop", "10% more words"),
        (Gain(growth=1.1, gain=nan, low=nan, high=nan, n=5), "unknown", "too small"),
    ],
    ids=["rising", "no curve", "wide", "falling", "edge", "below", "flat", "no number"],
)
def test_the_curve_decides(gain: Gain | None, state: str, reason: str) -> None:
    advice = ask(gain=gain)

    assert advice.state == state
    assert reason in advice.reasons[0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"n_words": 1_999}, "only 1999 unlabelled words"),
        ({"n_relations": 29}, "too few relations"),
        ({"tags": None}, "word tags is not defined"),
        ({"pairs": None}, "relations is not defined"),
    ],
    ids=["few words", "few relations", "no tags", "no pairs"],
)
def test_agreement_that_was_not_measured_is_no_agreement(
    changed: dict[str, Any], reason: str
) -> None:
    assert reason in ask(agree(), agree(**changed)).reasons[1]


def test_one_comparison_is_too_few() -> None:
    assert ask(agree()).reasons[1:] == ("1 of 2 comparisons of successive models are there",)


def test_a_schema_without_relations_asks_for_none() -> None:
    none = agree(pairs=None, n_relations=0)

    assert ask(none, none, has_relations=False) == ask()


def test_a_looser_rule_is_content_with_less() -> None:
    rough = agree(tags=0.95, pairs=0.9, delta_f=4.0)
    loose = StopRule(gain=0.8, tags=0.95, pairs=0.9, delta_f=5.0)

    advice = ask(rough, rough, gain=RISING, rule=loose)

    assert (advice.state, advice.reasons[1:]) == ("stop", ("the last 3 models agree",))
    assert ask(rough, rough, gain=RISING).state == "continue"
