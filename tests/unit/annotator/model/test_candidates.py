from __future__ import annotations

import pytest
import torch

from annotator.domain import LabelSchema, WordEntity
from annotator.errors import InputError, LabelError
from annotator.model import ModelConfig
from annotator.model.candidates import (
    candidates_from_entities,
    candidates_from_spans,
    label_pairs,
    legal_classes,
    pair_mask,
    training_candidates,
)
from annotator.model.config import Candidates
from annotator.model.decoding import find_spans

# Classes: O, B I E S of Drug = 1 2 3 4, B I E S of Effect = 5 6 7 8.
GOLD = torch.tensor([[4, 0, 5, 7, 0], [4, 0, 8, -100, -100]])
PREDICTED = torch.tensor([[4, 0, 0, 8, 4], [0, 0, 8, 0, 0]])
SURE = torch.tensor([[0.9, 0.5, 0.5, 0.6, 0.7], [0.5, 0.5, 0.8, 0.0, 0.0]])
RELATIONS = torch.tensor([[0, 0, 3, 1], [1, 0, 2, 2]])


def test_candidates_are_the_last_words_of_entities_in_order() -> None:
    candidates = candidates_from_spans(GOLD, find_spans(GOLD))

    assert candidates.last.tolist() == [[0, 3], [0, 2]]
    assert candidates.first.tolist() == [[0, 2], [0, 2]]
    assert candidates.tags.tolist() == [[4, 7], [4, 8]]
    assert candidates.types.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("choice", "last", "right"),
    [
        ("predicted", [[0, 3, 4], [2, 0, 0]], [[True, False, False], [True, False, False]]),
        ("gold", [[0, 3], [0, 2]], [[True, True], [True, True]]),
        ("both", [[0, 3, 4], [0, 2, 0]], [[True, True, False], [True, True, False]]),
    ],
)
def test_training_candidates_follow_the_choice(
    choice: Candidates, last: list[list[int]], right: list[list[bool]]
) -> None:
    candidates = training_candidates(
        predicted=PREDICTED, gold=GOLD, scores=SURE, choice=choice, limit=10
    )

    assert candidates.last.tolist() == last
    assert candidates.right is not None
    assert candidates.right.tolist() == right


def test_wrong_prediction_makes_its_pairs_negative() -> None:
    candidates = training_candidates(
        predicted=PREDICTED, gold=GOLD, scores=SURE, choice="predicted", limit=10
    )

    labels = label_pairs(candidates, RELATIONS, n_words=5)

    assert not labels.any()


def test_gold_candidates_carry_their_relations() -> None:
    candidates = training_candidates(
        predicted=PREDICTED, gold=GOLD, scores=SURE, choice="both", limit=10
    )

    labels = label_pairs(candidates, RELATIONS, n_words=5)

    assert labels.nonzero().tolist() == [[0, 0, 1], [1, 0, 1]]
    assert labels[0, 0, 1] == 1
    assert labels[1, 0, 1] == 2


def test_limit_keeps_gold_candidates_before_sure_ones() -> None:
    candidates = training_candidates(
        predicted=PREDICTED, gold=GOLD, scores=SURE, choice="both", limit=2
    )

    assert candidates.last.tolist() == [[0, 3], [0, 2]]


def test_only_pairs_that_the_schema_allows_are_candidates(schema: LabelSchema) -> None:
    candidates = candidates_from_spans(GOLD, find_spans(GOLD))

    mask = pair_mask(candidates, legal_classes(ModelConfig(schema=schema)))

    assert mask.nonzero().tolist() == [[0, 0, 1], [1, 0, 1]]


def test_all_ordered_pairs_are_candidates_without_the_type_mask(schema: LabelSchema) -> None:
    candidates = candidates_from_spans(GOLD, find_spans(GOLD))

    mask = pair_mask(candidates, legal_classes(ModelConfig(schema=schema, legal_pairs=False)))

    assert mask.nonzero().tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 1], [1, 1, 0]]


def test_relation_without_declared_pairs_is_legal_everywhere() -> None:
    schema = LabelSchema(
        entity_types=("A", "B"),
        relation_types=("r", "s"),
        pairs=frozenset({("r", "A", "B")}),
    )

    legal = legal_classes(ModelConfig(schema=schema))

    assert legal[..., 0].all()
    assert legal[..., 1].nonzero().tolist() == [[0, 1]]
    assert legal[..., 2].all()


def test_given_entities_keep_their_places(schema: LabelSchema) -> None:
    entities = [
        WordEntity(type="Effect", first=2, last=3),
        WordEntity(type="Drug", first=0, last=0),
    ]

    candidates = candidates_from_entities(
        [entities], n_words=[4], config=ModelConfig(schema=schema)
    )

    assert candidates.last.tolist() == [[3, 0]]
    assert candidates.tags.tolist() == [[7, 4]]


@pytest.mark.parametrize(
    ("entity", "error"),
    [
        (WordEntity(type="Gene", first=0, last=0), LabelError),
        (WordEntity(type="Drug", first=0, last=4), InputError),
    ],
    ids=["unknown type", "past the end"],
)
def test_given_entity_that_cannot_be_is_refused(
    schema: LabelSchema, entity: WordEntity, error: type[Exception]
) -> None:
    with pytest.raises(error):
        candidates_from_entities([[entity]], n_words=[4], config=ModelConfig(schema=schema))
