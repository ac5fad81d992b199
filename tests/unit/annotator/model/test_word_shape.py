from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_bert import make_tagged

from annotator.model import JointModel
from annotator.model.batch import collate
from annotator.model.word_shape import SHAPES, word_shapes


@pytest.mark.parametrize(
    ("word", "shape"),
    [
        ("rash", "lower"),
        ("Paris", "capitalised"),
        ("d'Or", "mixed"),
        ("O'Neill", "mixed"),
        ("McDonald", "mixed"),
        ("iPhone", "mixed"),
        ("NSAID", "upper"),
        ("B", "initial"),
        ("B.", "initial"),
        ("U.S.", "upper"),
        ("1999", "digits"),
        ("3.5", "digits"),
        ("IL2", "letters_and_digits"),
        (".", "other"),
        ("", "other"),
        ("\U0001f600", "other"),
        ("薬", "other"),
        ("Äpfel", "capitalised"),
        ("\ud800", "other"),
    ],
)
def test_word_has_the_shape_of_its_capitals_and_digits(word: str, shape: str) -> None:
    assert SHAPES[int(word_shapes([word])[0])] == shape


def test_pieces_of_a_word_share_its_shape_and_special_pieces_have_none(
    build_model: Callable[..., JointModel],
) -> None:
    tokenizer = build_model().pieces
    sentences = tokenizer.encode([["Aspirin9", "RASHES", "x"], ["the"]])

    batch = collate(sentences, tokenizer)

    names = [[SHAPES[i] for i in row] for row in batch.shapes.tolist()]
    lengths = batch.word_length.tolist()
    inner = ["letters_and_digits"] * lengths[0][0] + ["upper"] * lengths[0][1] + ["lower"]
    assert names[0] == ["none", *inner, "none"]
    assert names[1] == ["none", "lower"] + ["none"] * (len(names[0]) - 2)
    assert lengths[1] == [1, 0, 0]


@torch.no_grad()
def test_fresh_shapes_change_nothing_and_learnt_ones_tell_capitals_apart(
    build_model: Callable[..., JointModel],
) -> None:
    with_shapes, without = build_model(word_shape=True), build_model(word_shape=False)
    words = [["Aspirin", "rash"], ["aspirin", "rash"]]
    batch = collate(without.pieces.encode(words), without.pieces)
    fresh = with_shapes.encode(batch)
    assert with_shapes.shape is not None

    with_shapes.shape.weight[1:].normal_()
    learnt = with_shapes.encode(batch)

    torch.testing.assert_close(fresh, without.encode(batch))
    torch.testing.assert_close(fresh[0], fresh[1])  # an uncased encoder sees no difference
    assert float((learnt[0] - learnt[1]).abs().max()) > 0.01


@torch.no_grad()
@pytest.mark.parametrize("max_pieces", [None, 12], ids=["one window", "windows"])
def test_mean_pooling_equals_a_plain_loop_over_pieces(
    build_model: Callable[..., JointModel], max_pieces: int | None
) -> None:
    first = build_model(pooling="first", max_pieces=max_pieces)
    mean = build_model(pooling="mean", max_pieces=max_pieces)
    sentences = first.pieces.encode(
        [
            make_tagged("Xylophonic aspirin induced severe rashes qwerty zxcv").words,
            ("rash",),
        ]
    )
    batch = collate(sentences, first.pieces)
    rows = first.encoder(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask
    ).last_hidden_state.flatten(0, 1)
    places = [
        [rows[p : p + n].mean(dim=0) for p, n in zip(starts, lengths, strict=True) if n]
        for starts, lengths in zip(
            batch.word_piece.tolist(), batch.word_length.tolist(), strict=True
        )
    ]

    states = mean.encode(batch)

    torch.testing.assert_close(states[0], torch.stack(places[0]))
    torch.testing.assert_close(states[1, 0], places[1][0])
    assert float(states[1, 1:].abs().max()) == 0.0
