"""A version's point of the learning curve, as it is stored with it."""

from __future__ import annotations

import pytest
from factories import make_document
from score_tables import make_scores

from annotator.domain import Entity
from annotator.services.models.learning_curve import describe_point
from annotator.text import align_document


def test_a_point_has_the_error_that_its_hold_out_gives() -> None:
    scores = make_scores([{"Drug": (1, 1, 1)}, {"Drug": (0, 1, 1)}] * 50)

    point = describe_point(scores, [], seed=1)["joint"]

    assert point["f1"] == 50.0
    assert point["error"] == pytest.approx(5.0, rel=0.1)  # 100 * sqrt(0.25 / 100)
    assert point["low"] == pytest.approx(40.0, abs=2.0)
    assert point["high"] == pytest.approx(60.0, abs=2.0)


def test_without_a_hold_out_a_point_says_what_was_learnt_from() -> None:
    entity = Entity(id="e", type="Drug", start=0, end=7)
    train = align_document(make_document("n", "Aspirin helps.", entities=(entity,))).sentences

    found = describe_point(make_scores([]), train, seed=1)

    assert found == {
        "joint": None,
        "learnt_from": {"sentences": 1, "words": 3, "entities": 1, "relations": 0},
    }
