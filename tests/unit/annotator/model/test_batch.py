from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_bert import make_tagged

from annotator.domain import LabelSchema
from annotator.errors import ShapeError
from annotator.model import JointModel, ModelConfig
from annotator.model.batch import IGNORED_TAG, GoldEncoder, GoldLabels, collate, plan_batches

COSTS = [3, 50, 7, 7, 120, 1, 9, 30]


def padded_costs(batches: list[NDArray[np.int64]]) -> list[int]:
    return [max(COSTS[i] for i in batch) * len(batch) for batch in batches if len(batch) > 1]


def test_batches_hold_each_sentence_once_and_keep_the_budget() -> None:
    batches = plan_batches(COSTS, token_budget=60)

    assert sorted(np.concatenate(batches).tolist()) == list(range(len(COSTS)))
    assert max(padded_costs(batches)) <= 60


def test_sentence_past_the_budget_makes_its_own_batch() -> None:
    batches = plan_batches(COSTS, token_budget=60)

    assert batches[0].tolist() == [4]


def test_word_pieces_point_at_the_first_piece_of_each_word(
    build_model: Callable[..., JointModel],
) -> None:
    tokenizer = build_model().pieces
    words = [["aspirin", "xyz", "fever"], ["rash"]]
    pieces = tokenizer.encode(words)

    batch = collate(pieces, tokenizer)

    picked = batch.input_ids.flatten()[batch.word_piece]
    assert picked[0].tolist() == pieces[0].ids[pieces[0].first_piece].tolist()
    assert picked[1, 0] == pieces[1].ids[0]
    assert batch.word_mask.tolist() == [[True] * 3, [True, False, False]]
    assert batch.attention_mask.sum(dim=1).tolist() == [7, 3]


def test_long_sentence_takes_a_row_a_window(build_model: Callable[..., JointModel]) -> None:
    tokenizer = build_model(max_pieces=12).pieces
    pieces = tokenizer.encode([["rash", "fever"] * 20])

    batch = collate(pieces, tokenizer)

    picked = batch.input_ids.flatten()[batch.word_piece]
    assert batch.input_ids.shape == (len(pieces[0].windows.start), 12)
    assert picked[0].tolist() == pieces[0].ids.tolist()


def test_gold_is_padded_and_relations_know_their_sentence(
    build_model: Callable[..., JointModel],
) -> None:
    tokenizer = build_model().pieces
    gold = [
        GoldLabels(tags=np.array([4, 0]), relations=np.zeros((0, 3), dtype=np.int64)),
        GoldLabels(tags=np.array([4, 0, 8]), relations=np.array([[0, 2, 1]])),
    ]

    batch = collate(tokenizer.encode([["a", "b"], ["a", "b", "c"]]), tokenizer, gold=gold)

    assert batch.tags is not None
    assert batch.relations is not None
    assert batch.tags.tolist() == [[4, 0, IGNORED_TAG], [4, 0, 8]]
    assert torch.equal(batch.relations, torch.tensor([[1, 0, 2, 1]]))


def test_gold_of_another_length_is_refused(build_model: Callable[..., JointModel]) -> None:
    tokenizer = build_model().pieces
    gold = [GoldLabels(tags=np.array([4]), relations=np.zeros((0, 3), dtype=np.int64))]

    with pytest.raises(ShapeError, match="words"):
        collate(tokenizer.encode([["a", "b"]]), tokenizer, gold=gold)


def test_hidden_words_are_masked_with_all_their_pieces_and_no_others(
    build_model: Callable[..., JointModel],
) -> None:
    tokenizer = build_model(max_pieces=12).pieces
    words = ["xylophonic", "aspirin", "induced", "severe", "rashes"] * 40
    batch = collate(tokenizer.encode([words, ["rash"]]), tokenizer)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        hidden = batch.hide_words(0.3, mask_id=tokenizer.mask_id)

    before, after = batch.input_ids.flatten(), hidden.input_ids.flatten()
    whole = [
        {bool(after[place] == tokenizer.mask_id) for place in range(first, first + length)}
        for first, length in zip(batch.word_piece[0], batch.word_length[0], strict=True)
    ]
    assert {len(kinds) for kinds in whole} == {1}
    assert 0.2 < sum(True in kinds for kinds in whole) / 200 < 0.4
    changed = (before != after).nonzero().squeeze(1)
    assert set(after[changed].tolist()) == {tokenizer.mask_id}
    special = {*tokenizer.prefix, *tokenizer.suffix, tokenizer.pad_id}
    assert special.isdisjoint(before[changed].tolist())
    assert hidden.hide_words(0.0, mask_id=1).input_ids.equal(hidden.input_ids)


def test_labels_become_class_numbers(schema: LabelSchema) -> None:
    sentence = make_tagged(
        "aspirin induced severe rash",
        ("Drug", 0, 0),
        ("Effect", 2, 3),
        relations=(("treats", 0, 1),),
    )

    labels = GoldEncoder(ModelConfig(schema=schema)).encode(sentence)

    assert labels.tags.tolist() == [4, 0, 5, 7]
    assert labels.relations.tolist() == [[0, 3, 2]]


def test_labels_the_schema_does_not_know_are_left_out_and_counted(schema: LabelSchema) -> None:
    sentence = make_tagged(
        "aspirin induced rash",
        ("Gene", 0, 0),
        ("Effect", 2, 2),
        relations=(("causes", 0, 1), ("inhibits", 1, 0)),
    )
    encoder = GoldEncoder(ModelConfig(schema=schema))

    labels = encoder.encode(sentence)

    assert labels.tags.tolist() == [0, 0, 8]
    assert labels.relations.tolist() == []
    assert encoder.left_out == {"entity Gene": 1, "relation causes": 1, "relation inhibits": 1}


def test_second_relation_of_a_pair_is_counted(schema: LabelSchema) -> None:
    sentence = make_tagged(
        "aspirin rash",
        ("Drug", 0, 0),
        ("Effect", 1, 1),
        relations=(("causes", 0, 1), ("treats", 0, 1)),
    )
    encoder = GoldEncoder(ModelConfig(schema=schema))

    labels = encoder.encode(sentence)

    assert labels.relations.tolist() == [[0, 1, 1]]
    assert encoder.left_out == {"second or reflexive relation treats": 1}
