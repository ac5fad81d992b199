"""The shape of a word: its use of capitals, digits and other signs, which uncased encoders lose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPES", "word_shapes"]

#: Shape names in class order; ``none`` is for special pieces and padding.
SHAPES = (
    "none",
    "lower",  # rash
    "capitalised",  # Paris
    "upper",  # NSAID
    "initial",  # B
    "mixed",  # McDonald, iPhone
    "digits",  # 1999
    "letters_and_digits",  # IL2, 5FU
    "other",  # punctuation, symbols, scripts without capitals
)

_CLASS = {name: i for i, name in enumerate(SHAPES)}


@lru_cache(maxsize=1 << 16)
def _shape(word: str) -> int:
    letters = [char for char in word if char.isalpha()]
    has_digit = any(char.isdigit() for char in word)
    if not letters:
        return _CLASS["digits" if has_digit else "other"]
    if has_digit:
        return _CLASS["letters_and_digits"]
    n_upper = sum(char.isupper() for char in letters)
    if n_upper == 0:
        return _CLASS["lower" if any(char.islower() for char in letters) else "other"]
    if n_upper == len(letters):
        return _CLASS["initial" if n_upper == 1 else "upper"]
    return _CLASS["capitalised" if n_upper == 1 and letters[0].isupper() else "mixed"]


def word_shapes(words: Sequence[str]) -> NDArray[np.int64]:
    """Return the class number of each word's shape, never 0. Shape ``(words,)``."""
    return np.fromiter(map(_shape, words), dtype=np.int64, count=len(words))
