"""What the heads of an encoder attend to, over words (Giorgi et al. 2019, Figure 2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from annotator.errors import InputError, ModelError
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceSentence, PieceTokenizer

__all__ = [
    "PATTERNS",
    "HeadWeight",
    "Pattern",
    "WordAttention",
    "attend",
    "find_heads",
    "merge_pieces",
    "pattern_weights",
    "renormalise",
]

Pattern = Literal["next", "previous", "self", "last", "end"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordAttention:
    """The attention of every head over the words of one text.

    Attributes:
        shares: Attention from each word to each word, with special pieces still included in the
            total, so that a row sums to less than 1. Shape ``(layers, heads, words, words)``,
            from the third axis to the fourth.
        start: Attention from each word to the special pieces before the text (BERT's ``[CLS]``).
            Shape ``(layers, heads, words)``.
        end: The same for those after the text (BERT's ``[SEP]``).
    """

    shares: Tensor
    start: Tensor
    end: Tensor

    @property
    def weights(self) -> Tensor:
        """The attention among words alone: ``shares`` with each row normalised to the sum 1."""
        return renormalise(self.shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadWeight:
    """Layer and head, counted from 1, and how strongly the head follows a pattern, 0 to 1."""

    layer: int
    head: int
    weight: float


def merge_pieces(attention: Tensor, piece_words: Tensor, *, n_words: int) -> Tensor:
    """Convert attention between pieces to attention between words.

    Attention to a word is the sum over its pieces, attention from a word the mean over its
    pieces (Clark et al. 2019, arXiv 1906.04341, section 4.1).

    Args:
        attention: From the last axis but one to the last. Shape ``(..., pieces, pieces)``.
        piece_words: The word of each piece; pieces of no word have -1 and are left out.
            Shape ``(pieces,)``, int64.
        n_words: Number of words.

    Returns:
        Shape ``(..., words, words)``. A row sums to the attention of its word to all words; rows
        and columns of a word without pieces are 0.
    """
    words = torch.arange(n_words, device=attention.device)
    belongs = (piece_words[:, None] == words).to(attention.dtype)  # (pieces, words)
    averages = belongs / belongs.sum(dim=0).clamp(min=1)
    return averages.T @ attention @ belongs  # (..., words, words)


def renormalise(shares: Tensor) -> Tensor:
    """Normalise each row to the sum 1; rows of zeros stay zero.

    ``shares`` is not negative. Shape in and out ``(..., words, words)``.
    """
    totals = shares.sum(dim=-1, keepdim=True)  # (..., words, 1)
    return torch.where(totals > 0, shares / totals, shares)


def pattern_weights(attention: WordAttention) -> dict[Pattern, Tensor]:
    """Return how strongly each head follows each pattern.

    The weight is the mean attention from a word to its next word, its previous word, itself, the
    last word, or the end (the special pieces after the text), over the words that have a next or
    previous one. Special pieces are included in the total, so that a head that nearly always
    attends to the separator does not count as anything else.

    Returns:
        One tensor per pattern. Shape ``(layers, heads)``.
    """
    shares = attention.shares
    return {
        "next": shares.diagonal(1, dim1=-2, dim2=-1).mean(dim=-1),
        "previous": shares.diagonal(-1, dim1=-2, dim2=-1).mean(dim=-1),
        "self": shares.diagonal(0, dim1=-2, dim2=-1).mean(dim=-1),
        "last": shares[..., -1].mean(dim=-1),
        "end": attention.end.mean(dim=-1),
    }


def find_heads(
    attention: WordAttention, *, n_best: int = 3
) -> dict[Pattern, tuple[HeadWeight, ...]]:
    """Return the heads that follow each pattern most strongly, strongest first."""
    found: dict[Pattern, tuple[HeadWeight, ...]] = {}
    for pattern, weights in pattern_weights(attention).items():
        n_heads = weights.shape[1]
        best = weights.flatten().sort(descending=True, stable=True)  # (layers * heads,)
        found[pattern] = tuple(
            HeadWeight(layer=i // n_heads + 1, head=i % n_heads + 1, weight=weight)
            for i, weight in zip(
                best.indices[:n_best].tolist(), best.values[:n_best].tolist(), strict=True
            )
        )
    return found


def attend(encoder: Encoder, pieces: PieceTokenizer, words: Sequence[str]) -> WordAttention:
    """Encode ``words`` in one window and return the attention of all heads, on the CPU.

    Meanwhile the encoder uses ``eager`` attention, because the faster implementations do not return
    it; afterwards its setting is restored. Not thread-safe.

    Raises:
        InputError: if there are fewer than two words, or more than fit into one window.
        ModelError: if the encoder does not return attention between all pieces.
    """
    if len(words) < 2:
        raise InputError(f"attention is between words: two are needed, the text has {len(words)}")
    (sentence,) = pieces.encode([words])
    _check_length(sentence)
    ids = np.concatenate([pieces.prefix, sentence.ids, pieces.suffix])
    counts = np.diff(sentence.first_piece, append=len(sentence.ids))
    # The special pieces after and before the text are merged like two more words.
    n, n_start, n_end = len(words), len(pieces.prefix), len(pieces.suffix)
    owners = np.repeat([n + 1, *range(n), n], [n_start, *counts.tolist(), n_end])
    attention = _read(encoder, torch.from_numpy(ids)[None])  # (layers, heads, pieces, pieces)
    merged = merge_pieces(attention, torch.from_numpy(owners), n_words=n + 2)[..., :n, :]
    return WordAttention(shares=merged[..., :n], start=merged[..., n + 1], end=merged[..., n])


def _check_length(sentence: PieceSentence) -> None:
    if len(sentence.windows.start) > 1:
        n_fit = int((sentence.first_piece < sentence.windows.end[0]).sum())
        raise InputError(
            f"the text has {sentence.n_words} words, more than the encoder reads at once: its "
            f"first {n_fit} words fit; give a shorter text"
        )


def _read(encoder: Encoder, input_ids: Tensor) -> Tensor:
    """Return the attention of all heads. Shape ``(layers, heads, pieces, pieces)``, float32."""
    device = next(encoder.network.parameters()).device
    with _eager(encoder), torch.no_grad():
        output = encoder.network(input_ids=input_ids.to(device), output_attentions=True)
    layers = getattr(output, "attentions", None) or ()
    n_pieces = input_ids.shape[1]
    shapes = [tuple(layer.shape) if isinstance(layer, Tensor) else () for layer in layers]
    if not layers or any(
        len(shape) != 4 or shape != shapes[0] or shape[2:] != (n_pieces, n_pieces)
        for shape in shapes
    ):
        found = "it tells none" if not layers else "its layers tell something else"
        raise _no_attention(encoder, found)
    return torch.cat(layers).float().cpu()  # (layers, heads, pieces, pieces)


def _no_attention(encoder: Encoder, found: str) -> ModelError:
    kind = getattr(encoder.network.config, "model_type", "unknown")
    return ModelError(
        f"encoder {encoder.name!r} (of type {kind}) has no attention from each piece to each "
        f"piece: {found}; take a BERT-like encoder for this view"
    )


@contextmanager
def _eager(encoder: Encoder) -> Iterator[None]:
    network = encoder.network
    # The library has a public setter for it but no getter.
    before, was_training = network.config._attn_implementation, network.training
    try:
        network.set_attn_implementation("eager")
    except ValueError as error:
        raise _no_attention(encoder, "it cannot compute attention the plain way") from error
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
        network.set_attn_implementation(before)
