"""What the strategy's tasks hold against the random share, on labels made by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from annotator.active.queue_gain import LabelledTask, QueueGain, measure_queue_gain


def label(
    share: Literal["strategy", "random"],
    n: int,
    *,
    corrections: int,
    words: int = 20,
    first: int = 0,
) -> list[LabelledTask]:
    """Return ``n`` tasks, each of another document."""
    return [
        LabelledTask(document=first + i, share=share, words=words, corrections=corrections)
        for i in range(n)
    ]


def measure(*parts: list[LabelledTask]) -> QueueGain:
    return measure_queue_gain([one for part in parts for one in part], rng=np.random.default_rng(0))


def test_twice_as_many_corrections_a_word_pay() -> None:
    worth = measure(
        label("strategy", 100, corrections=2), label("random", 50, corrections=1, first=200)
    )

    assert worth.state == "pays"
    assert worth.ratio == pytest.approx((200.5 / 2000) / (50.5 / 1000), abs=1e-4)
    assert worth.tasks["random"] == {"tasks": 50, "words": 1000, "corrections": 50}


def test_corrections_are_counted_a_word_and_not_a_task() -> None:
    longer = label("strategy", 100, corrections=2, words=40)

    worth = measure(longer, label("random", 100, corrections=1, first=200))

    assert worth.ratio == pytest.approx(1.0, abs=0.01)
    assert worth.state == "no_gain"


def test_a_queue_that_finds_less_than_random_order_does_not_pay() -> None:
    worth = measure(
        label("strategy", 60, corrections=1), label("random", 60, corrections=3, first=100)
    )

    assert worth.state == "no_gain"
    assert "0.34 times as many corrections a word" in worth.reason


def test_an_interval_on_both_sides_of_one_tells_nothing() -> None:
    mixed = label("strategy", 20, corrections=0) + label("strategy", 5, corrections=12, first=20)

    worth = measure(mixed, label("random", 25, corrections=2, first=100))

    assert worth.low is not None
    assert worth.high is not None
    assert worth.low < 1.0 < 1.1 < worth.high
    assert worth.state == "unknown"


def test_tasks_of_one_document_count_as_one_draw() -> None:
    scattered = label("strategy", 40, corrections=1) + label(
        "strategy", 40, corrections=5, first=40
    )
    clumped = [
        LabelledTask(document=i // 40, share="strategy", words=20, corrections=one.corrections)
        for i, one in enumerate(scattered)
    ]
    others = label("random", 40, corrections=2, first=500)

    widths = [
        worth.high - worth.low
        for worth in (measure(scattered, others), measure(clumped, others))
        if worth.high is not None and worth.low is not None
    ]

    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(
    ("strategy", "random", "reason"),
    [
        (label("strategy", 19, corrections=3), label("random", 50, corrections=1), "strategy"),
        (label("strategy", 50, corrections=3), label("random", 19, corrections=1), "at random"),
        (label("strategy", 50, corrections=0), label("random", 50, corrections=0), "0 labels"),
        ([], [], "0 of the 20 tasks needed were chosen by the strategy"),
        (label("strategy", 50, corrections=1, words=0), label("random", 50, corrections=1), "need"),
    ],
    ids=["few chosen", "few at random", "nothing to correct", "none", "no words"],
)
def test_too_little_tells_nothing(
    strategy: list[LabelledTask], random: list[LabelledTask], reason: str
) -> None:
    worth = measure(strategy, random)

    assert (worth.state, worth.ratio) == ("unknown", None)
    assert reason in worth.reason


def test_a_share_without_any_correction_has_a_finite_ratio() -> None:
    worth = measure(
        label("strategy", 50, corrections=1), label("random", 50, corrections=0, first=100)
    )

    assert worth.ratio == pytest.approx(101.0, abs=1e-4)
    assert worth.state == "pays"
