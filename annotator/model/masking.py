"""Masked words: which pieces are hidden, the head that guesses them, and its loss.

Devlin et al. 2019 (arXiv 1810.04805), section 3.1, with masks drawn anew for every step (Liu et
al. 2019, arXiv 1907.11692) and whole words hidden together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from annotator.errors import ModelError
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceSentence, PieceTokenizer

__all__ = ["MaskedBatch", "MaskedWordHead", "MaskedWordModel", "WordMasker", "WordRow"]

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MASKED, _RANDOM = 0.8, 0.1  # of the chosen pieces; the rest stays as it is
_INIT_STD = 0.02


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
        self._pieces = PieceTokenizer(encoder)
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


class MaskedWordHead(nn.Module):
    """Scores every piece of the vocabulary for a state; the output matrix is the embedding's.

    Args:
        width: Width of the encoder's states.
        n_pieces: Size of the vocabulary.
        embedding_width: Width of the embedding.
        eps: Of the normalisation.
    """

    def __init__(self, width: int, n_pieces: int, *, embedding_width: int, eps: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, embedding_width)
        self.norm = nn.LayerNorm(embedding_width, eps=eps)
        self.bias = nn.Parameter(torch.zeros(n_pieces))
        nn.init.normal_(self.dense.weight, std=_INIT_STD)
        nn.init.zeros_(self.dense.bias)

    def forward(self, states: Tensor, embedding: Tensor) -> Tensor:
        """Return the scores of all pieces.

        Args:
            states: Shape ``(chosen, hidden)``.
            embedding: The encoder's piece embedding. Shape ``(vocabulary, embedding)``.

        Returns:
            Shape ``(chosen, vocabulary)``.
        """
        hidden = self.norm(functional.gelu(self.dense(states)))
        return functional.linear(hidden, embedding, self.bias)

    @torch.no_grad()
    def start_from_counts(self, counts: IntArray) -> None:
        """Let the bias be the log frequency of each piece, so that a fresh head begins there."""
        smoothed = torch.from_numpy(counts).double() + 1.0
        self.bias.copy_((smoothed / smoothed.sum()).log())


class MaskedWordModel(nn.Module):
    """An encoder with a head that guesses hidden words. Dropout is off: text is seldom read twice.

    Lan et al. 2020 (arXiv 1909.11942), section 4.9, found masked words to be learnt better
    without dropout.

    Args:
        encoder: What is adapted.
        head_weights: Weights of a trained head by the names of ``MaskedWordHead``; None starts a
            fresh one.
    """

    def __init__(self, encoder: Encoder, head_weights: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.network = encoder.network.eval()
        embedding = self.embedding
        self.head = MaskedWordHead(
            encoder.width,
            embedding.shape[0],
            embedding_width=embedding.shape[1],
            eps=float(getattr(self.network.config, "layer_norm_eps", 1e-12)),
        )
        if head_weights is not None:
            self.head.load_state_dict(head_weights)
        self.loss_before: Tensor  # held-out loss of the unadapted encoder, kept with the state
        self.register_buffer("loss_before", torch.tensor(float("nan"), dtype=torch.float64))

    @property
    def embedding(self) -> Tensor:
        """The piece embedding. Shape ``(vocabulary, embedding)``."""
        weight: Tensor = self.network.get_input_embeddings().weight
        return weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.bias.device

    def loss(
        self, batch: MaskedBatch, *, frozen: bool = False, dtype: torch.dtype | None = None
    ) -> Tensor:
        """Return the mean cross-entropy over the chosen pieces, in float32.

        Only the chosen positions are projected onto the vocabulary.

        Args:
            batch: The batch, on the model's device.
            frozen: The encoder takes no gradient, only the head does.
            dtype: Reduced precision, such as ``torch.bfloat16``.
        """
        learning = torch.is_grad_enabled() and not frozen
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            with torch.set_grad_enabled(learning), _attention(self.device):
                states = self.network(
                    input_ids=batch.input_ids, attention_mask=batch.attention_mask
                ).last_hidden_state
            embedding = self.embedding if learning else self.embedding.detach()
            logits = self.head(states.flatten(0, 1)[batch.positions], embedding)
        return functional.cross_entropy(logits.float(), batch.targets)


def _attention(device: torch.device) -> AbstractContextManager[None]:
    # The fused kernel's backward pass on a CPU is slower than plain matrix products.
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
