"""From words to word pieces, and from long sentences to overlapping windows. NumPy only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ModelError
from annotator.model.encoder import Encoder

__all__ = ["SHAPES", "PieceSentence", "PieceTokenizer", "Windows", "cut_windows", "word_shapes"]

IntArray = NDArray[np.int64]

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

_MAX_PIECES_PER_WORD = 64
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # cannot be encoded; tokenizers refuse them


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Parts of one sentence that each fit the encoder.

    Attributes:
        start: First piece of each window. Shape ``(windows,)``.
        end: One past the last piece of each window. Shape ``(windows,)``.
        owner: The window that gives each word its state. Shape ``(words,)``.
    """

    start: IntArray
    end: IntArray
    owner: IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceSentence:
    """One sentence in word pieces, without special pieces.

    Attributes:
        ids: Piece ids. Shape ``(pieces,)``.
        first_piece: Where each word begins in ``ids``. Shape ``(words,)``.
        shapes: Class in ``SHAPES`` of the word of each piece. Shape ``(pieces,)``.
        windows: The windows it is cut into; one where it fits.
        cost: Pieces that the encoder reads, special ones and overlaps included.
    """

    ids: IntArray
    first_piece: IntArray
    shapes: IntArray
    windows: Windows
    cost: int

    @property
    def n_words(self) -> int:
        """The number of words."""
        return len(self.first_piece)


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


def cut_windows(first_piece: IntArray, n_pieces: int, *, capacity: int) -> Windows:
    """Cut a sentence at word boundaries into windows that overlap by about a quarter.

    A word takes its state from the window with the most context on its poorer side: the border
    between two windows lies in the middle of their overlap. The cost is linear in words.

    Args:
        first_piece: Where each word begins. Shape ``(words,)``; each word has at most
            ``capacity // 2`` pieces.
        n_pieces: Number of pieces of the sentence.
        capacity: Most pieces in a window.
    """
    if n_pieces <= capacity:
        zero = np.zeros(1, dtype=np.int64)
        owner: IntArray = np.zeros(len(first_piece), dtype=np.int64)
        return Windows(start=zero, end=np.array([n_pieces], dtype=np.int64), owner=owner)
    edges = np.append(first_piece, n_pieces)
    starts, ends = [0], [_last_edge(edges, capacity)]
    while ends[-1] < n_pieces:
        wanted = max(ends[-1] - capacity // 4, starts[-1] + 1)
        start = int(edges[np.searchsorted(edges, wanted)])
        starts.append(min(start, ends[-1]))
        ends.append(_last_edge(edges, starts[-1] + capacity))
    start_array: IntArray = np.array(starts, dtype=np.int64)
    end_array: IntArray = np.array(ends, dtype=np.int64)
    borders: IntArray = (start_array[1:] + end_array[:-1] + 1) // 2
    owner = np.searchsorted(borders, first_piece, side="right").astype(np.int64)
    return Windows(start=start_array, end=end_array, owner=owner)


def _last_edge(edges: IntArray, limit: int) -> int:
    return int(edges[np.searchsorted(edges, limit, side="right") - 1])


def _first_pieces(word_of: IntArray) -> IntArray:
    """Return where each word with pieces begins; ``word_of`` does not decrease."""
    begins = np.ones(len(word_of), dtype=np.bool_)
    np.not_equal(word_of[1:], word_of[:-1], out=begins[1:])
    return np.flatnonzero(begins).astype(np.int64)


def _after_blanks(words: Sequence[str]) -> list[str]:
    """Put a blank before each word, as in running text, and replace lone surrogates."""
    if not _LONE_SURROGATE.search("".join(words)):
        return [f" {word}" for word in words]
    return [_LONE_SURROGATE.sub("\ufffd", f" {word}") for word in words]


class PieceTokenizer:
    """Converts words to pieces with the fast tokenizer of an encoder.

    A word that yields no piece (an emoji, a control character, an empty word) becomes the unknown
    piece, so every word has a state. A word keeps at most 64 pieces: its state is then that of its
    beginning, and no other word is affected. Every word is encoded as if after a blank. A word that
    looks like a special piece, such as ``[SEP]``, is encoded as other text or as unknown.

    Raises:
        ModelError: if the tokenizer has no unknown piece or the window is too small to be used.
    """

    def __init__(self, encoder: Encoder, *, max_pieces: int | None = None) -> None:
        tokenizer = encoder.tokenizer
        self._backend: Any = tokenizer.backend_tokenizer
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True
        probe = self._backend.encode([" a"], is_pretokenized=True, add_special_tokens=True)
        inner = np.flatnonzero(np.array(probe.special_tokens_mask) == 0)
        ids: IntArray = np.array(probe.ids, dtype=np.int64)
        if not inner.size:
            raise ModelError(f"the tokenizer of encoder {encoder.name!r} has no piece for a letter")
        self.prefix: IntArray = ids[: inner[0]]
        self.suffix: IntArray = ids[inner[-1] + 1 :]
        unknown = tokenizer.unk_token_id
        padding = tokenizer.pad_token_id
        if unknown is None:
            unknown = padding
        if unknown is None:
            raise ModelError(f"the tokenizer of encoder {encoder.name!r} has no unknown piece")
        self.unknown_id = int(unknown)
        self._is_special = np.zeros(max(tokenizer.get_vocab().values()) + 1, np.bool_)
        self._is_special[tokenizer.all_special_ids] = True
        self.pad_id = int(unknown if padding is None else padding)
        hidden = tokenizer.mask_token_id
        self.mask_id = int(unknown if hidden is None else hidden)
        limit = min(encoder.max_pieces, max_pieces or encoder.max_pieces)
        self.capacity = limit - len(self.prefix) - len(self.suffix)
        if self.capacity < 4:
            raise ModelError(f"encoder {encoder.name!r} holds only {limit} pieces a window")

    def encode(self, sentences: Sequence[Sequence[str]]) -> list[PieceSentence]:
        """Tokenise each sentence, given as words; the order is kept."""
        encodings = self._backend.encode_batch(
            [_after_blanks(words) for words in sentences],
            is_pretokenized=True,
            add_special_tokens=False,
        )
        return [
            self._encode_one(encoding, words)
            for encoding, words in zip(encodings, sentences, strict=True)
        ]

    def _encode_one(self, encoding: Any, words: Sequence[str]) -> PieceSentence:
        n_words = len(words)
        ids: IntArray = np.array(encoding.ids, dtype=np.int64)
        word_of: IntArray = np.array(encoding.word_ids, dtype=np.int64)
        ids[self._is_special[ids]] = self.unknown_id
        first = _first_pieces(word_of)
        if len(first) < n_words:  # a word yields no piece
            missing: IntArray = np.setdiff1d(np.arange(n_words), word_of)
            where = np.searchsorted(word_of, missing)
            ids = np.insert(ids, where, self.unknown_id)
            word_of = np.insert(word_of, where, missing)
            first = _first_pieces(word_of)
        longest = min(_MAX_PIECES_PER_WORD, self.capacity // 2)
        if len(ids) > longest and np.diff(first, append=len(ids)).max() > longest:
            kept = np.arange(len(ids)) - first[word_of] < longest
            ids, word_of = ids[kept], word_of[kept]
            first = _first_pieces(word_of)
        windows = cut_windows(first, len(ids), capacity=self.capacity)
        special = len(self.prefix) + len(self.suffix)
        cost = int((windows.end - windows.start).sum()) + special * len(windows.start)
        return PieceSentence(
            ids=ids,
            first_piece=first,
            shapes=word_shapes(words)[word_of],
            windows=windows,
            cost=cost,
        )
