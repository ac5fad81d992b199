"""Which words of a text are hidden from the encoder, and the tensors for it.

Devlin et al. 2019 (arXiv 1810.04805), section 3.1, with masks drawn anew for every step (Liu et
al. 2019, arXiv 1907.11692) and whole words hidden together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from annotator.errors import ModelError
from annotator.model.batch import collate, piece_places
from annotator.model.encoder import Encoder
from annotator.model.pieces import PieceSentence, PieceTokenizer

__all__ = ["MaskedBatch", "WordMasker"]

_MAX_PIECES = 256  # per row; the memory of attention grows with its square
_MASKED, _RANDOM = 0.8, 0.1  # of the chosen pieces; the rest is unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedBatch:
    """The tensors of one step.

    Attributes:
        input_ids: Piece ids, some hidden, padded. Shape ``(rows, pieces)``, int64.
        attention_mask: True where a piece is real. Shape ``(rows, pieces)``, bool.
        positions: Indices of the chosen pieces in the flattened ``(rows * pieces)``.
            Shape ``(chosen,)``, int64.
        targets: Their original ids. Shape ``(chosen,)``, int64.
    """

    input_ids: Tensor
    attention_mask: Tensor
    positions: Tensor
    targets: Tensor

    def to(self, device: torch.device) -> MaskedBatch:
        """Return the same batch on ``device``."""
        return MaskedBatch(**{name: getattr(self, name).to(device) for name in self.__slots__})


class WordMasker:
    """Hides whole words of sentences.

    Each word is chosen with probability ``share``. In a sentence where none is chosen, one is, so
    that the sentence is not computed for nothing.

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
        n_pieces = int(encoder.network.get_input_embeddings().num_embeddings)
        self.is_special = torch.zeros(n_pieces, dtype=torch.bool)
        self.is_special[[i for i in tokenizer.all_special_ids if i < n_pieces]] = True
        self._ordinary = (~self.is_special[: len(tokenizer)]).nonzero()[:, 0]

    def encode(self, sentences: Sequence[Sequence[str]]) -> list[PieceSentence]:
        """Tokenise sentences, given as words; the order is kept."""
        return self._pieces.encode(sentences)

    def is_hopeless(self, sentence: PieceSentence) -> bool:
        """Return whether each word of ``sentence`` has a special piece, such as the unknown one."""
        special = self.is_special[torch.from_numpy(sentence.ids)].numpy()
        return sentence.n_words == 0 or bool(
            np.logical_or.reduceat(special, sentence.first_piece).all()
        )

    def collate(
        self, sentences: Sequence[PieceSentence], generator: torch.Generator
    ) -> MaskedBatch:
        """Choose words, none with a special piece, hide them, and collate the batch.

        Of the pieces of chosen words 80 % are replaced by the mask, 10 % by any ordinary piece, and
        10 % stay.
        """
        batch = collate(sentences, self._pieces)
        ids = batch.input_ids.flatten()
        length = batch.word_length[batch.word_mask]
        places, _ = piece_places(batch.word_piece[batch.word_mask], length)
        word_of = torch.arange(len(length)).repeat_interleave(length)
        draws = torch.rand(len(length), generator=generator)
        draws[word_of[self.is_special[ids[places]]]] = math.inf
        by_sentence = torch.full(batch.word_mask.shape, math.inf)
        by_sentence[batch.word_mask] = draws
        chosen = by_sentence <= by_sentence.amin(1, keepdim=True).clamp(min=self._share)
        positions = places[chosen[batch.word_mask][word_of]]
        targets = ids[positions]
        fate = torch.rand(len(positions), generator=generator)
        which = torch.randint(len(self._ordinary), (len(positions),), generator=generator)
        seen = torch.where(fate < _MASKED + _RANDOM, self._ordinary[which], targets)
        ids[positions] = seen.masked_fill(fate < _MASKED, self._pieces.mask_id)
        return MaskedBatch(
            input_ids=ids.view_as(batch.input_ids),
            attention_mask=batch.attention_mask,
            positions=positions,
            targets=targets,
        )
