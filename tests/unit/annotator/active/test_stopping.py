"""Advice on stopping, at the edges of each rule."""

from __future__ import annotations

from typing import Any

import pytest

from annotator.active.agreement import Agreement
from annotator.active.stopping import Advice, CurvePoint, StopRule, Trend, advise, fit_trend

FLAT = Trend(slope=0.1, low=-1.0, high=1.2, n=5)
WIDE = Trend(slope=0.0, low=-6.0, high=6.0, n=3)


def agree(**changed: Any) -> Agreement:
    given = {
        **{"n_sentences": 400, "n_words": 8_000, "tags": 0.995, "pairs": 0.98},
        **{"n_entities": 500, "n_relations": 90, "delta_f": 0.3},
    }
    return Agreement(**{**given, **changed})


def ask(*agreements: Agreement, trend: Trend | None = FLAT, has_relations: bool = True) -> Advice:
    return advise(agreements or (agree(), agree()), trend, has_relations=has_relations)


def test_models_that_agree_on_a_flat_curve_are_enough() -> None:
    advice = ask()

    assert advice.state == "stop"
    assert "the last 3 models agree" in advice.reasons[0]
    assert "10% more words bring -0.14 to +0.17 points" in advice.reasons[0]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"tags": 0.989}, "word tags: kappa 0.989, 0.99 needed"),
        ({"pairs": 0.969}, "relations: kappa 0.969, 0.97 needed"),
        ({"delta_f": 0.51}, "up to 0.5 points of F1 is predicted, 0.5 allowed"),
    ],
    ids=["tags", "pairs", "delta"],
)
@pytest.mark.parametrize("place", [0, 1], ids=["the one before", "the last"])
def test_models_that_still_change_are_a_reason_to_go_on(
    changed: dict[str, float], reason: str, place: int
) -> None:
    both = [agree(), agree()]
    both[place] = agree(**changed)

    advice = ask(*both, trend=WIDE)

    assert advice.state == "continue"
    assert reason in advice.reasons[0]


def test_models_that_still_change_on_a_flat_curve_tell_nothing() -> None:
    advice = ask(agree(tags=0.9, pairs=0.8), agree())

    assert advice.state == "unknown"
    assert advice.reasons == (
        "the hold-out curve is flat, 10% more words bring -0.14 to +0.17 points of F1, but "
        "successive models still differ on word tags: kappa 0.900, 0.99 needed",
        "successive models still differ on relations: kappa 0.800, 0.97 needed",
    )


def test_what_is_not_known_on_a_flat_curve_is_told_too() -> None:
    advice = ask(agree(tags=0.9))

    assert advice.state == "unknown"
    assert [reason[:20] for reason in advice.reasons] == [
        "the hold-out curve i",
        "1 of 2 comparisons o",
    ]


def test_values_on_the_threshold_are_enough() -> None:
    edge = agree(tags=0.99, pairs=0.97, delta_f=0.5, n_words=2_000, n_relations=30)

    assert ask(edge, edge).state == "stop"


def test_what_was_long_ago_does_not_count() -> None:
    assert ask(agree(tags=0.5), agree(), agree()).state == "stop"


def test_a_curve_that_rises_is_a_reason_to_go_on() -> None:
    advice = ask(trend=Trend(slope=2.0, low=0.1, high=3.9, n=5))

    assert advice.state == "continue"
    assert "still rises" in advice.reasons[0]


@pytest.mark.parametrize(
    ("trend", "reason"),
    [
        (None, "fewer than three models"),
        (WIDE, "too small"),
        (Trend(slope=-3.0, low=-5.0, high=-1.0, n=5), "falls"),
    ],
    ids=["no curve", "wide", "falling"],
)
def test_a_curve_that_tells_nothing_is_no_reason_to_stop(trend: Trend | None, reason: str) -> None:
    advice = ask(trend=trend)

    assert advice.state == "unknown"
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
def test_what_was_not_measured_is_no_reason_to_stop(changed: dict[str, Any], reason: str) -> None:
    advice = ask(agree(), agree(**changed))

    assert advice.state == "unknown"
    assert reason in advice.reasons[0]


def test_one_comparison_is_too_few_and_still_can_speak_for_going_on() -> None:
    assert ask(agree()).reasons == ("1 of 2 comparisons of successive models are there",)
    assert ask(agree(tags=0.8), trend=WIDE).state == "continue"


def test_a_schema_without_relations_asks_for_none() -> None:
    none = agree(pairs=None, n_relations=0)

    assert ask(none, none, has_relations=False).state == "stop"


def test_a_looser_rule_is_content_with_less() -> None:
    rough = agree(tags=0.95, pairs=0.9, delta_f=4.0)

    advice = advise(
        [rough, rough],
        FLAT,
        has_relations=True,
        rule=StopRule(tags=0.95, pairs=0.9, delta_f=5.0),
    )

    assert advice.state == "stop"


def test_a_rule_without_a_window_leaves_it_to_the_curve() -> None:
    advice = advise([agree(tags=0.1)], FLAT, has_relations=True, rule=StopRule(window=0))

    assert advice.state == "stop"
    assert advice.reasons[0].startswith("the hold-out curve is flat: ")


def curve(*values: float, error: float | None = 1.0) -> list[CurvePoint]:
    """Return a curve whose words double from point to point."""
    return [
        CurvePoint(words=100.0 * 2**i, joint_f1=value, error=error)
        for i, value in enumerate(values)
    ]


def test_the_slope_is_points_a_doubling_with_the_errors_of_the_hold_out() -> None:
    trend = fit_trend(curve(60.0, 63.0, 66.0, 69.0, 72.0))

    assert trend is not None
    assert trend.slope == pytest.approx(3.0)
    assert trend.high - trend.slope == pytest.approx(3.182 / 10**0.5)  # sum of squares of x: 10
    assert trend.n == 5


def test_scatter_beyond_those_errors_widens_the_interval() -> None:
    smooth = fit_trend(curve(60.0, 60.0, 60.0, 60.0, 60.0))
    rough = fit_trend(curve(60.0, 70.0, 50.0, 70.0, 60.0))

    assert smooth is not None
    assert rough is not None
    assert rough.high - rough.low > 5 * (smooth.high - smooth.low)


def test_without_errors_the_scatter_alone_counts() -> None:
    trend = fit_trend(curve(60.0, 61.0, 60.0, error=None))

    assert trend is not None
    assert trend.slope == pytest.approx(0.0)
    assert trend.high == pytest.approx(12.706 * ((2 / 3) / 2) ** 0.5)


def test_only_the_last_five_points_count() -> None:
    trend = fit_trend(curve(0.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0))

    assert trend is not None
    assert trend.slope == pytest.approx(0.0)


@pytest.mark.parametrize(
    "points",
    [[], curve(60.0, 61.0), [CurvePoint(words=100.0, joint_f1=60.0)] * 4],
    ids=["none", "two", "the same words"],
)
def test_a_curve_that_is_too_short_has_no_slope(points: list[CurvePoint]) -> None:
    assert fit_trend(points) is None


def test_the_gain_of_a_step_is_its_share_of_a_doubling() -> None:
    assert Trend(slope=1.0, low=-2.0, high=4.0, n=5).gain(2.0) == (-2.0, 4.0)
