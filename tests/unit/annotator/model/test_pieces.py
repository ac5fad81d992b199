from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from annotator.errors import ModelError
from annotator.model import load_encoder
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceTokenizer, Windows, cut_windows


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
