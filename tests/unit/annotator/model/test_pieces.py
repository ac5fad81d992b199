from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bert import make_tagged

from annotator.errors import ModelError
from annotator.model import JointModel, load_encoder
from annotator.model.batch import collate
from annotator.model.encoder import Encoder
from annotator.model.pieces import SHAPES, PieceTokenizer, Windows, cut_windows, word_shapes


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(str(tiny_encoder))


def context_of(windows: Windows, word: int, *, first: int, n_pieces: int) -> int:
    """The smaller context of a word in its own window; an end of the sentence cuts nothing."""
    start, end = windows.start[windows.owner[word]], windows.end[windows.owner[word]]
    left = n_pieces if start == 0 else first - start
    right = n_pieces if end == n_pieces else end - first
    return int(min(left, right))


def best_context(windows: Windows, *, first: int, n_pieces: int) -> int:
    """The greatest of a word's smaller contexts over all windows that hold it."""
    found = []
    for start, end in zip(windows.start, windows.end, strict=True):
        left = n_pieces if start == 0 else first - start
        right = n_pieces if end == n_pieces else end - first
        found.append(min(left, right) if start <= first < end else -1)
    return int(max(found))


def test_words_are_mapped_to_their_first_pieces(encoder: Encoder) -> None:
    [sentence] = PieceTokenizer(encoder).encode([["aspirin", "xyz", "fever"]])

    assert sentence.first_piece.tolist() == [0, 1, 4]
    assert len(sentence.ids) == 5


@pytest.mark.parametrize("word", ["😀", "", "\u200b", "\x07", " "], ids=ascii)
def test_word_without_pieces_becomes_the_unknown_piece(encoder: Encoder, word: str) -> None:
    tokenizer = PieceTokenizer(encoder)

    [sentence] = tokenizer.encode([[word, "fever", word, word]])

    assert sentence.first_piece.tolist() == [0, 1, 2, 3]
    assert sentence.ids[[0, 2, 3]].tolist() == [tokenizer.unknown_id] * 3


def test_very_long_word_keeps_its_first_pieces_only(encoder: Encoder) -> None:
    [sentence] = PieceTokenizer(encoder).encode([["x" * 90, "fever"]])

    assert sentence.first_piece.tolist() == [0, 63]


def test_window_never_passes_the_capacity_and_begins_and_ends_at_words() -> None:
    lengths = np.random.default_rng(3).integers(1, 6, size=400)
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    total = int(lengths.sum())

    windows = cut_windows(first, total, capacity=40)

    assert (windows.end - windows.start).max() <= 40
    assert windows.start[0] == 0
    assert windows.end[-1] == total
    assert np.isin(windows.start, first).all()
    assert np.isin(windows.end, np.append(first, total)).all()
    assert (windows.start[windows.owner] <= first).all()
    assert (first + lengths <= windows.end[windows.owner]).all()


def test_word_takes_its_state_from_the_window_with_most_context() -> None:
    first = np.arange(300)
    windows = cut_windows(first, 300, capacity=40)

    own = [context_of(windows, i, first=i, n_pieces=300) for i in range(300)]

    assert own == [best_context(windows, first=i, n_pieces=300) for i in range(300)]


def test_sentence_that_fits_is_one_window() -> None:
    windows = cut_windows(np.arange(10), 10, capacity=10)

    assert (windows.start.tolist(), windows.end.tolist()) == ([0], [10])


def test_window_too_small_to_use_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ModelError, match="pieces a window"):
        PieceTokenizer(encoder, max_pieces=5)


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
