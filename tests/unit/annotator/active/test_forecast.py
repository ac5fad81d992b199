"""The learning curve and what it says of more labels, against curves that are known."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.active.forecast import CurvePoint, Gain, LearningCurve

WORDS = np.array([1_000.0, 1_500.0, 2_300.0, 3_500.0, 5_200.0, 8_000.0])


def bend(words: float, exponent: float = 0.7) -> float:
    """Return the F1 of a project whose curve ends at 80."""
    return float(80.0 - 30.0 * (words / 1_000.0) ** -exponent)


def measure(
    exponent: float = 0.7, *, error: float = 0.5, noise: np.random.Generator | None = None
) -> list[CurvePoint]:
    return [
        CurvePoint(
            words=w,
            joint_f1=bend(w, exponent) + (noise.normal(0.0, error) if noise else 0.0),
            error=error,
        )
        for w in WORDS.tolist()
    ]


def fit(points: list[CurvePoint]) -> LearningCurve:
    curve = LearningCurve.fit(points)
    assert curve is not None
    return curve


@pytest.mark.parametrize("exponent", [0.2, 0.7, 1.5])
@pytest.mark.parametrize("growth", [1.1, 2.0])
def test_what_a_power_law_would_gain_is_within_the_interval(exponent: float, growth: float) -> None:
    gain = fit(measure(exponent)).gain(growth)

    truth = bend(8_000 * growth, exponent) - bend(8_000, exponent)
    assert gain.low < truth < gain.high
    assert gain.gain == pytest.approx(truth, abs=0.2 if growth == 1.1 else 1.2)
    assert (gain.growth, gain.n) == (growth, 6)


def test_the_next_model_is_within_the_interval_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    n_within = 0
    for _ in range(300):
        told = fit(measure(noise=rng, error=1.0)).level(12_000.0, error=1.0)
        n_within += told.low <= bend(12_000.0) + rng.normal(0.0, 1.0) <= told.high

    assert 0.93 <= n_within / 300 <= 1.0


def test_a_small_hold_out_tells_less() -> None:
    wide, narrow = (fit(measure(error=error)).gain(1.1) for error in (4.0, 0.5))

    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_errors_below_what_training_alone_does_are_raised() -> None:
    sure, known = (fit(measure(error=error)).gain(1.1) for error in (0.0, 0.5))

    assert sure == known


def test_points_that_scatter_beyond_their_errors_widen_the_interval() -> None:
    smooth, rough = measure(), measure()
    rough[2] = CurvePoint(words=2_300.0, joint_f1=bend(2_300.0) - 8.0, error=0.5)

    assert fit(rough).gain(1.1).high > fit(smooth).gain(1.1).high + 0.3


def test_models_close_together_at_the_end_still_tell_by_those_before() -> None:
    late = [8_000.0 * 1.1**i for i in range(1, 6)]
    flat = [CurvePoint(words=w, joint_f1=80.0 - 30.0 * 8**-0.7, error=1.0) for w in late]

    whole, end = fit([*measure(error=1.0), *flat]).gain(1.1), fit(flat).gain(1.1)

    assert 0.0 < whole.gain < whole.high < 0.4 < end.high


def test_a_curve_that_falls_gains_less_than_nothing() -> None:
    falling = [CurvePoint(words=w, joint_f1=130.0 - bend(w), error=0.5) for w in WORDS.tolist()]

    assert fit(falling).gain(1.1).high < 0.0


@pytest.mark.parametrize(
    "points",
    [[], measure()[:3], [CurvePoint(words=100.0, joint_f1=60.0, error=1.0)] * 5],
    ids=["none", "three", "the same words"],
)
def test_a_curve_that_is_too_short_says_nothing(points: list[CurvePoint]) -> None:
    assert LearningCurve.fit(points) is None


def test_models_of_the_same_words_and_of_none_are_no_trouble() -> None:
    points = [CurvePoint(words=0.0, joint_f1=0.0, error=0.0), *measure(), *measure()[-1:]]

    gain = fit(points).gain(1.1)

    assert np.isfinite([gain.gain, gain.low, gain.high]).all()


def test_a_first_model_of_a_few_words_does_not_spoil_a_long_curve() -> None:
    words = [1.0, 1e3, 1e5, 1e6, 5e6, 2e7]
    points = [CurvePoint(words=w, joint_f1=80.0 - 60.0 * w**-0.2, error=0.5) for w in words]

    gain = fit(points).gain(2.0)

    truth = 60.0 * (2e7**-0.2 - 4e7**-0.2)
    assert gain.low < truth < gain.high
    assert gain.high - gain.low < 0.5


def test_a_gain_reads_as_a_sentence_and_as_json() -> None:
    gain = Gain(growth=1.1, gain=0.25, low=-0.123456, high=0.5, n=7)

    assert str(gain) == "10% more words would bring +0.25 points of F1 (-0.12 to +0.50)"
    assert gain.to_json() == {"growth": 1.1, "gain": 0.25, "low": -0.1235, "high": 0.5, "n": 7}
