"""Which words of a text are hidden from the encoder, and the tensors of it.

Devlin et al. 2019 (arXiv 1810.04805), section 3.1, with masks drawn anew for every step (Liu et
al. 2019, arXiv 1907.11692) and whole words hidden together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotator.errors import ModelError
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceSentence, PieceTokenizer

__all__ = ["MaskedBatch", "WordMasker", "WordRow"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MAX_PIECES = 256  # of a row; attention takes memory by the square of it
_MASKED, _RANDOM = 0.8, 0.1  # of the chosen pieces; the rest stays as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRow:
    """What the encoder reads in one row: a sentence, or a window of a long one.

    Attributes:
        ids: Piece ids without special pieces. Shape ``(pieces,)``.
        first_piece: Where each word begins in ``ids``; the first is 0. Shape ``(words,)``.
        owner: Index of the sentence.
    """

    ids: IntArray
    first_piece: IntArray
    owner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedBatch:
    """The tensors of one step.

    Attributes:
        input_ids: Piece ids, some hidden, padded. Shape ``(rows, pieces)``, int64.
        attention_mask: True where a piece is real. Shape ``(rows, pieces)``, bool; None where all
            are.
        positions: Where the chosen pieces stand in the flattened ``(rows * pieces)``.
            Shape ``(chosen,)``, int64.
        targets: What they were. Shape ``(chosen,)``, int64.
    """

    input_ids: Tensor
    attention_mask: Tensor | None
    positions: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        """Return the same batch on ``device``."""
        mask = self.attention_mask
        return MaskedBatch(
            input_ids=self.input_ids.to(device, non_blocking=True),
            attention_mask=None if mask is None else mask.to(device, non_blocking=True),
            positions=self.positions.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
        )


class WordMasker:
    """Hides whole words of rows of pieces.

    Args:
        encoder: Whose tokenizer is used.
        share: The chance of each word to be chosen. A row in which none is has one chosen, so
            that no row is computed for nothing.

    Raises:
        ModelError: if the tokenizer has no mask piece.
    """

    def __init__(self, encoder: Encoder, *, share: float) -> None:
        tokenizer = encoder.tokenizer
        if tokenizer.mask_token_id is None:
            raise ModelError(
                f"the tokenizer of encoder {encoder.name!r} has no mask piece; choose an encoder "
                "that was trained with masked words"
            )
        self._pieces = PieceTokenizer(encoder, max_pieces=_MAX_PIECES)
        self._share = share
        self._mask_id = int(tokenizer.mask_token_id)
        n_pieces = int(encoder.network.get_input_embeddings().weight.shape[0])
        known = min(n_pieces, len(tokenizer))
        special = np.array(sorted(i for i in tokenizer.all_special_ids if i < n_pieces))
        self.is_special: BoolArray = np.zeros(n_pieces, dtype=np.bool_)
        self.is_special[special] = True
        self._ordinary: IntArray = np.flatnonzero(~self.is_special[:known]).astype(np.int64)

    @property
    def n_special(self) -> int:
        """The number of special pieces that stand around each row."""
        return len(self._pieces.prefix) + len(self._pieces.suffix)

    def rows(self, sentences: Sequence[Sequence[str]]) -> list[WordRow]:
        """Tokenise sentences, given as words; those with nothing to guess have no row."""
        encoded = self._pieces.encode(sentences)
        return [
            row
            for i, sentence in enumerate(encoded)
            for row in _cut(sentence, owner=i)
            if not self._hopeless(row)
        ]

    def _hopeless(self, row: WordRow) -> bool:
        return bool(np.logical_or.reduceat(self.is_special[row.ids], row.first_piece).all())

    def collate(self, rows: Sequence[WordRow], rng: np.random.Generator) -> MaskedBatch:
        """Choose words, hide them, and put all into tensors."""
        prefix, suffix = self._pieces.prefix, self._pieces.suffix
        lengths: IntArray = np.array([len(row.ids) for row in rows], dtype=np.int64)
        ids: IntArray = np.concatenate([row.ids for row in rows])
        chosen = self.choose(rows, rng)
        width = int(lengths.max()) + self.n_special
        offsets = np.cumsum(lengths) - lengths
        starts = np.arange(len(rows)) * width + len(prefix)
        place: IntArray = np.repeat(starts - offsets, lengths) + np.arange(len(ids))
        table: IntArray = np.full((len(rows), width), self._pieces.pad_id, dtype=np.int64)
        table[:, : len(prefix)] = prefix
        table.reshape(-1)[place] = self.hide(ids, chosen, rng)
        for i, piece in enumerate(suffix.tolist()):
            table.reshape(-1)[starts + lengths + i] = piece
        real = np.arange(width) < (lengths + self.n_special)[:, None]
        return MaskedBatch(
            input_ids=torch.from_numpy(table),
            attention_mask=None if real.all() else torch.from_numpy(real),
            positions=torch.from_numpy(place[chosen]),
            targets=torch.from_numpy(ids[chosen]),
        )

    def choose(self, rows: Sequence[WordRow], rng: np.random.Generator) -> BoolArray:
        """Choose words; return True for each of their pieces, over all rows one after another.

        A word with a special piece (the unknown one) is never chosen.
        """
        n_words = [len(row.first_piece) for row in rows]
        lengths = [np.diff(row.first_piece, append=len(row.ids)) for row in rows]
        word_of = np.repeat(np.arange(sum(n_words)), np.concatenate(lengths))
        special = self.is_special[np.concatenate([row.ids for row in rows])]
        draws = rng.random(sum(n_words))
        draws[word_of[special]] = np.inf
        first_words: IntArray = np.cumsum(n_words) - np.array(n_words, dtype=np.int64)
        least = np.minimum.reduceat(draws, first_words)
        limits = np.repeat(np.maximum(least, np.nextafter(self._share, 0.0)), n_words)
        chosen: BoolArray = (draws <= limits)[word_of]
        return chosen

    def hide(self, ids: IntArray, chosen: BoolArray, rng: np.random.Generator) -> IntArray:
        """Replace chosen pieces: 80 % by the mask, 10 % by any ordinary piece, 10 % not at all."""
        hidden = ids.copy()
        n_chosen = int(chosen.sum())
        fate = rng.random(n_chosen)
        strange = rng.choice(self._ordinary, size=n_chosen)
        kept = np.where(fate < _MASKED + _RANDOM, strange, ids[chosen])
        hidden[chosen] = np.where(fate < _MASKED, self._mask_id, kept)
        return hidden


def _cut(sentence: PieceSentence, *, owner: int) -> list[WordRow]:
    windows = sentence.windows
    rows = []
    for start, end in zip(windows.start.tolist(), windows.end.tolist(), strict=True):
        first = sentence.first_piece
        inside = first[(first >= start) & (first < end)] - start
        rows.append(WordRow(ids=sentence.ids[start:end], first_piece=inside, owner=owner))
    return rows
