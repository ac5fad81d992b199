from __future__ import annotations

import numpy as np
import pytest

from annotator.active.cost import AnnotationCost, per_second

WORDS_ALONE = AnnotationCost(sentence_s=0, word_s=0.5, entity_s=0, relation_s=0)


def order(
    cost: AnnotationCost,
    *,
    rates: list[float],
    words: list[int],
    entities: list[int],
    relations: list[int],
) -> list[int]:
    """The numbers of the sentences, those worth most a second first."""
    values = per_second(
        np.array(rates),
        words=np.array(words),
        entities=np.array(entities),
        relations=np.array(relations),
        cost=cost,
    )
    return [int(i) for i in np.argsort(-values, kind="stable")]


def test_where_only_words_take_time_the_order_is_that_of_the_rates() -> None:
    rates = [0.2, 0.5, 0.3]

    found = order(WORDS_ALONE, rates=rates, words=[40, 3, 9], entities=[0] * 3, relations=[0] * 3)

    assert found == [1, 2, 0]


def test_of_equal_rates_the_longer_sentence_is_worth_its_opening() -> None:
    found = order(
        AnnotationCost(), rates=[0.3, 0.3], words=[4, 20], entities=[0, 0], relations=[0, 0]
    )

    assert found == [1, 0]


def test_of_equal_rates_the_sentence_with_fewer_labels_comes_first() -> None:
    found = order(
        AnnotationCost(), rates=[0.3] * 3, words=[20] * 3, entities=[4, 2, 4], relations=[2, 0, 0]
    )

    assert found == [1, 2, 0]


def test_a_rate_that_is_high_enough_pays_for_its_labels() -> None:
    found = order(
        AnnotationCost(), rates=[0.3, 0.9], words=[20, 20], entities=[0, 3], relations=[0, 0]
    )

    assert found == [1, 0]


@pytest.mark.parametrize("rate", [0.0, 0.7], ids=["useless", "useful"])
def test_a_sentence_without_words_is_worth_nothing(rate: float) -> None:
    nothing = np.zeros(1)

    found = per_second(
        np.array([rate]), words=nothing, entities=nothing, relations=nothing, cost=WORDS_ALONE
    )

    assert found.tolist() == [0.0]
