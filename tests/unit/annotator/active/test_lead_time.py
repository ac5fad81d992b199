"""Costs fitted to times that were made from known ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from annotator.active.lead_time import LEAST_TIMED, CostFit, TimedLabels, fit_cost

TRUE = (5.0, 0.4, 2.0, 3.0, 6.0)  # seconds a task, word, entity, relation, edit


def seconds_of(one: TimedLabels) -> float:
    counts = (one.words, one.entities, one.relations, one.entity_edits + one.relation_edits)
    return float(np.dot(TRUE, (1.0, *counts)))


def make_labels(n: int = 400, *, noise: float = 0.1, seed: int = 0) -> list[TimedLabels]:
    """Annotations of nobody in particular that took what they should, times some noise."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        words = int(rng.integers(4, 50))
        entities = int(rng.poisson(words / 10))
        relations = int(rng.binomial(entities // 2, 0.7))
        one = TimedLabels(
            words=words,
            entities=entities,
            relations=relations,
            entity_edits=int(rng.binomial(entities, 0.4)),
            relation_edits=int(rng.binomial(relations, 0.5)),
            seconds=1.0,
        )
        made.append(replace(one, seconds=seconds_of(one) * math.exp(noise * rng.normal())))
    return made


def with_breaks(made: list[TimedLabels], share: float, seed: int = 1) -> list[TimedLabels]:
    """Let so many of them have gone away for ten to ninety minutes in between."""
    rng = np.random.default_rng(seed)
    away = rng.permutation(len(made)) < share * len(made)
    return [
        replace(one, seconds=one.seconds + rng.uniform(600, 5400)) if gone else one
        for one, gone in zip(made, away, strict=True)
    ]


def figures(fit: CostFit | None) -> list[float]:
    assert fit is not None
    return [fit.task_s, fit.word_s, fit.entity_s, fit.relation_s, fit.edit_s]


def test_known_seconds_are_found_again_among_one_in_ten_coffee_breaks() -> None:
    fit = fit_cost(with_breaks(make_labels(1000), 0.1))

    assert figures(fit) == pytest.approx(TRUE, rel=0.1)


def test_the_error_is_that_on_unseen_annotations_and_breaks_do_not_move_it() -> None:
    made = make_labels(1000, noise=0.3)

    fit = fit_cost(with_breaks(made, 0.1))

    assert fit is not None
    off = np.median([abs(one.seconds - seconds_of(one)) for one in made])
    assert fit.error_s == pytest.approx(off, rel=0.25)
    assert 0.5 < fit.explained < 1.0
    assert fit.median_s == pytest.approx(np.median([seconds_of(one) for one in made]), rel=0.15)


def test_times_that_have_nothing_to_do_with_the_labels_are_not_explained() -> None:
    rng = np.random.default_rng(3)
    made = [replace(one, seconds=rng.lognormal(3.0, 0.8)) for one in make_labels(400)]

    fit = fit_cost(made)

    assert fit is not None
    assert abs(fit.explained) < 0.1


def test_a_person_twice_as_slow_has_twice_the_factor_and_leaves_the_proportions() -> None:
    made = [
        replace(one, annotator="7" if i % 2 else "8", seconds=one.seconds * (1 + i % 2))
        for i, one in enumerate(make_labels(1000))
    ]

    fit = fit_cost(made)

    assert fit is not None
    assert fit.factors["7"] / fit.factors["8"] == pytest.approx(2.0, rel=0.05)
    assert fit.factors["7"] * fit.factors["8"] == pytest.approx(1.0, rel=0.02)
    assert figures(fit) == pytest.approx([math.sqrt(2) * one for one in TRUE], rel=0.15)


def test_a_person_with_few_annotations_counts_as_anybody() -> None:
    made = [replace(one, annotator="many") for one in make_labels(400)]
    few = [replace(one, annotator="few", seconds=2 * one.seconds) for one in make_labels(3, seed=9)]

    fit = fit_cost(made + few)

    assert fit is not None
    assert 1.05 < fit.factors["few"] < 1.35


@pytest.mark.parametrize(
    "seconds", [math.nan, math.inf, 0.0, -4.0], ids=["nan", "endless", "zero", "negative"]
)
def test_what_is_no_time_is_left_out(seconds: float) -> None:
    made = make_labels(LEAST_TIMED)

    fit = fit_cost([*made, *(replace(one, seconds=seconds) for one in made)])

    assert fit == fit_cost(made)
    assert fit is not None
    assert fit.n == LEAST_TIMED
    assert fit_cost([replace(made[0], seconds=seconds), *made[1:]]) is None


def test_nothing_is_told_from_fewer_than_two_hundred() -> None:
    made = make_labels(LEAST_TIMED)

    assert LEAST_TIMED == 200
    assert fit_cost(made) is not None
    assert fit_cost(made[1:]) is None
    assert fit_cost([]) is None


def test_no_figure_is_negative_where_more_labels_take_less_time() -> None:
    made = [replace(one, seconds=60.0 / (1 + one.entities)) for one in make_labels(400)]

    found = figures(fit_cost(made))

    assert min(found) >= 0.0
    assert found[2] == pytest.approx(0.0, abs=0.05)


def test_texts_of_one_length_share_their_time_between_task_and_words_as_assumed() -> None:
    made = [replace(one, words=20) for one in make_labels(400)]
    made = [replace(one, seconds=seconds_of(one)) for one in made]

    fit = fit_cost(made)

    assert fit is not None
    assert fit.task_s + 20 * fit.word_s == pytest.approx(5.0 + 20 * 0.4, rel=0.05)
    assert min(fit.task_s, fit.word_s) > 0
    assert fit.error_s < 0.5


def test_labels_that_were_all_drawn_by_hand_cost_what_they_cost_together() -> None:
    made = [
        replace(one, entity_edits=one.entities, relation_edits=one.relations)
        for one in make_labels(1000)
    ]
    made = [replace(one, seconds=seconds_of(one)) for one in made]

    fit = fit_cost(made)

    assert fit is not None
    together = fit.cost.entity_s, fit.cost.relation_s
    assert together == pytest.approx((2.0 + 6.0, 3.0 + 6.0), rel=0.1)


def test_the_four_figures_hold_the_mean_number_of_edits() -> None:
    made = make_labels(1000)
    per_entity = sum(one.entity_edits for one in made) / sum(one.entities for one in made)

    fit = fit_cost(made)

    assert fit is not None
    assert fit.cost.entity_s == pytest.approx(fit.entity_s + fit.edit_s * per_entity)
    assert (fit.cost.sentence_s, fit.cost.word_s) == (fit.task_s, fit.word_s)


def test_what_never_occurs_costs_nothing() -> None:
    made = [replace(one, relations=0, relation_edits=0) for one in make_labels(400)]

    fit = fit_cost([replace(one, seconds=seconds_of(one)) for one in made])

    assert fit is not None
    assert (fit.relation_s, fit.cost.relation_s) == (0.0, 0.0)
    assert fit.entity_s == pytest.approx(2.0, rel=0.1)


def test_annotations_that_are_all_alike_are_told_as_they_are() -> None:
    alike = TimedLabels(
        words=10, entities=1, relations=0, entity_edits=1, relation_edits=0, seconds=12.0
    )

    fit = fit_cost([alike] * LEAST_TIMED)

    assert fit is not None
    assert fit.cost.seconds(sentences=1, words=10, entities=1, relations=0) == pytest.approx(12.0)
    assert fit.explained == 0.0
    assert fit.error_s == pytest.approx(0.0, abs=1e-6)
