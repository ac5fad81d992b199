"""Agreement of two models, on tables made by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from annotator.active.agreement import (
    Agreement,
    SeenSentence,
    compare_models,
    kappa,
    predicted_delta_f,
)
from annotator.domain import WordEntity, WordRelation


def see(
    *entities: tuple[str, int, int],
    relations: tuple[tuple[str, int, int], ...] = (),
    n_words: int = 6,
) -> SeenSentence:
    return SeenSentence(
        n_words=n_words,
        entities=[WordEntity(type=t, first=first, last=last) for t, first, last in entities],
        relations=[WordRelation(type=t, head=head, tail=tail) for t, head, tail in relations],
    )


DRUG, RASH = ("Drug", 0, 0), ("Effect", 2, 3)
CAUSES = (("causes", 0, 1),)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        ({("a", "a"): 20, ("a", "b"): 5, ("b", "a"): 10, ("b", "b"): 15}, 0.4),
        ({("a", "a"): 3, ("b", "b"): 1}, 1.0),
        ({("a", "b"): 1, ("b", "a"): 1}, -1.0),
        ({("a", "a"): 1, ("a", "b"): 1, ("b", "a"): 1, ("b", "b"): 1}, 0.0),
    ],
    ids=["textbook", "the same", "the opposite", "by chance"],
)
def test_kappa_is_agreement_beyond_chance(table: dict[tuple[str, str], int], value: float) -> None:
    assert kappa(table) == pytest.approx(value)


def test_kappa_is_that_of_scikit_learn(rng: np.random.Generator) -> None:
    first, second = rng.integers(4, size=(2, 200)).tolist()
    second[:150] = first[:150]

    assert kappa(Counter(zip(first, second, strict=True))) == pytest.approx(
        cohen_kappa_score(first, second)
    )


@pytest.mark.parametrize("table", [{}, {("O", "O"): 50}], ids=["nothing", "one answer"])
def test_where_all_answers_are_one_agreement_says_nothing(
    table: dict[tuple[str, str], int],
) -> None:
    assert kappa(table) is None


@pytest.mark.parametrize(
    ("both", "before", "after", "points"),
    [(50, 0, 0, 0.0), (0, 3, 2, 100.0), (90, 10, 10, 10.0), (0, 0, 0, None)],
    ids=["the same", "nothing in common", "some", "no labels"],
)
def test_the_predicted_change_is_what_the_older_model_would_lack(
    both: int, before: int, after: int, points: float | None
) -> None:
    found = predicted_delta_f(both=both, before=before, after=after)

    assert found == (None if points is None else pytest.approx(points))


def test_models_that_see_the_same_agree_wholly() -> None:
    sentences = [see(DRUG, RASH, relations=CAUSES), see()]

    found = compare_models(sentences, sentences, n_relation_types=2)

    assert (found.tags, found.pairs, found.delta_f) == (1.0, 1.0, 0.0)
    assert (found.n_sentences, found.n_words) == (2, 12)
    assert (found.n_entities, found.n_relations) == (2, 1)


def test_a_moved_boundary_changes_tags_and_strict_labels_but_a_type_no_relation() -> None:
    before = [see(DRUG, RASH, relations=CAUSES)]

    moved = compare_models(
        before, [see(DRUG, ("Effect", 2, 4), relations=CAUSES)], n_relation_types=1
    )
    retyped = compare_models(
        before, [see(DRUG, ("Sign", 2, 3), relations=CAUSES)], n_relation_types=1
    )

    assert (moved.n_entities, moved.n_relations) == (3, 2)
    assert moved.delta_f == pytest.approx((50.0 + 100.0) / 2)
    assert moved.pairs is not None
    assert moved.pairs < 0  # six ordered pairs; each model has another one
    assert retyped.pairs == 1.0
    assert retyped.delta_f == pytest.approx((50.0 + 100.0) / 2)


def test_a_relation_that_one_model_alone_sees_is_one_decision_of_all_pairs() -> None:
    with_it = see(DRUG, RASH, ("Drug", 5, 5), relations=(("causes", 0, 1), ("causes", 2, 1)))
    without = see(DRUG, RASH, ("Drug", 5, 5), relations=(("causes", 0, 1),))

    found = compare_models([without], [with_it], n_relation_types=1)

    # 6 ordered pairs: 1 both, 1 the newer alone, 4 neither
    assert found.pairs == pytest.approx(kappa({(1, 1): 1, (0, 1): 1, (0, 0): 4}))


def test_models_that_predict_nothing_are_not_said_to_agree() -> None:
    found = compare_models([see()], [see()], n_relation_types=1)

    assert (found.tags, found.pairs, found.delta_f) == (None, None, None)


def test_agreement_is_stored_and_read_again() -> None:
    found = compare_models([see(DRUG)], [see(DRUG, RASH)], n_relation_types=1)

    assert Agreement.from_json({**found.to_json(), "against": "ward-1"}) == found
