"""The joint model of entities and relations (Giorgi et al. 2019, arXiv 1912.13415).

One forward pass, in the order in which it is read:

==========================  ==================================================================
``model.pieces``            words -> word pieces; a long sentence in overlapping windows
``model.batch``             pieces and gold labels -> tensors
``JointModel.encode``       pieces -> word states ``x_n``
``heads.NerHead``           ``x_n`` -> tag scores ``s_n``
``model.decoding``          tag scores -> tags -> spans
``model.candidates``        spans -> candidate entities, their ordered pairs, the pairs' classes
``heads.RelationHead``      ``[x ; e]`` of both ends of a pair -> relation scores
``JointModel.losses``       scores and gold -> ``L_NER + weight * L_RE``
``model.analysis``          without gold: scores -> entities, relations, ``model.signals``
==========================  ==================================================================

Shapes here and in these modules: ``batch`` sentences of ``words``; ``rows``, the windows, of
``pieces``; ``candidates``, as ``heads`` and ``tails`` of pairs; ``H`` and ``m``, the widths of the
encoder and of the projections; ``4 * types + 1`` tags; ``R + 1`` relation classes, ``NEG`` first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from annotator.errors import ShapeError
from annotator.model.batch import IGNORED_TAG, Batch, piece_places
from annotator.model.calibration import Calibration
from annotator.model.candidates import (
    CandidateSet,
    candidates_from_spans,
    label_pairs,
    legal_between,
    legal_classes,
    pair_mask,
    training_candidates,
)
from annotator.model.config import Candidates, ModelConfig
from annotator.model.decoding import (
    decode_argmax,
    decode_constrained,
    find_spans,
    join_neighbours,
)
from annotator.model.encoder import Encoder
from annotator.model.heads import NerHead, RelationHead, ShapeEmbedding
from annotator.model.pieces import PieceTokenizer

__all__ = ["JointModel", "JointOutput", "Losses", "PairScores"]

_ILLEGAL = -1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class JointOutput:
    """The result of one pass over a batch.

    Attributes:
        states: Word states, 0 where padded. Shape ``(batch, words, H)``.
        ner_logits: Tag scores. Shape ``(batch, words, 4 * types + 1)``.
        tags: Decoded tag classes, ``O`` where padded. Shape ``(batch, words)``, int64.
        candidates: The entities whose pairs were scored; None if relations were not requested.
        pair_logits: Relation scores; classes the schema forbids are at -1e9.
            Shape ``(batch, candidates, candidates, R + 1)``. None if there are no relations.
        pair_mask: True where a pair is a candidate. Shape ``(batch, candidates, candidates)``.
    """

    states: Tensor
    ner_logits: Tensor
    tags: Tensor
    candidates: CandidateSet | None = None
    pair_logits: Tensor | None = None
    pair_mask: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairScores:
    """The scores of the pairs of some heads, from candidate ``first`` on, with all tails.

    Attributes:
        logits: Relation scores; classes the schema forbids are at -1e9.
            Shape ``(batch, heads, candidates, R + 1)``.
        mask: True where a pair is a candidate. Shape ``(batch, heads, candidates)``.
    """

    first: int
    logits: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Mean cross-entropies: over words, over candidate pairs, and their weighted sum. Scalars."""

    ner: Tensor
    relation: Tensor
    total: Tensor
    n_words: int
    n_pairs: int


class JointModel(nn.Module):
    """An encoder with a tag head and a relation head, its tokenizer and its calibration.

    A schema without relation types has no relation head; everything else works the same.
    """

    joined: Tensor
    legal: Tensor

    def __init__(self, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder.network
        self.encoder_parts = encoder
        self.pieces = PieceTokenizer(encoder, max_pieces=config.max_pieces)
        self.shape = ShapeEmbedding(encoder.input_width) if config.word_shape else None
        self.ner = NerHead(encoder.width, config)
        self.relation = (
            RelationHead(encoder.width, config) if config.schema.relation_types else None
        )
        self.calibration = Calibration()
        joined = [name in config.never_adjacent for name in config.schema.entity_types]
        self.register_buffer("joined", torch.tensor(joined), persistent=False)
        self.register_buffer("legal", legal_classes(config), persistent=False)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.ner.output.weight.device

    def forward(
        self, batch: Batch, *, relations: bool = True, dtype: torch.dtype | None = None
    ) -> JointOutput:
        """Tag words and score the pairs of candidates.

        With gold in ``batch`` the candidates are those of training (``config.candidates``),
        otherwise the predicted entities. The batch must be on the model's device. ``relations``
        False skips the pairs, for steps in which the weight of their loss is 0. ``dtype`` is as in
        ``encode``.
        """
        output = self.tag(batch, dtype=dtype)
        if not relations or self.relation is None:
            return output
        if batch.tags is None:
            candidates = candidates_from_spans(output.tags, find_spans(output.tags))
            return self.relate(output, candidates)
        return self.relate_training(output, batch.tags, choice=self.config.candidates)

    def tag(
        self,
        batch: Batch,
        *,
        row_budget: int | None = None,
        dtype: torch.dtype | None = None,
        network: nn.Module | None = None,
    ) -> JointOutput:
        """Run only the encoder and the tag head; the arguments are those of ``encode``."""
        states = self.encode(batch, row_budget=row_budget, dtype=dtype, network=network)
        logits = self.ner(states)  # (batch, words, 4 * types + 1)
        tags = self.decode_tags(logits, word_mask=batch.word_mask)  # (batch, words)
        return JointOutput(states=states, ner_logits=logits, tags=tags)

    def encode(
        self,
        batch: Batch,
        *,
        row_budget: int | None = None,
        dtype: torch.dtype | None = None,
        network: nn.Module | None = None,
    ) -> Tensor:
        """Return the state of each word, in float32: of its first piece, or the mean over all.

        Args:
            batch: The batch, on the model's device.
            row_budget: Most padded pieces per call of the encoder, so that a very long sentence
                needs no more memory than a batch of short ones. None is no limit.
            dtype: Reduced precision for the encoder, such as ``torch.bfloat16``.
            network: An encoder in place of the model's own, such as a copy of it in bf16.

        Returns:
            Shape ``(batch, words, H)``; 0 where padded.
        """
        encoder = self.encoder if network is None else network
        n_rows, n_pieces = batch.input_ids.shape
        step = n_rows if row_budget is None else max(1, row_budget // n_pieces)
        with torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None):
            parts = [
                self._encode_rows(encoder, batch, slice(i, i + step))
                for i in range(0, n_rows, step)
            ]
        rows = parts[0] if len(parts) == 1 else torch.cat(parts)  # (rows, pieces, H)
        flat = rows.flatten(0, 1)  # (rows * pieces, H)
        if self.config.pooling == "mean":
            return mean_states(flat.float(), first=batch.word_piece, length=batch.word_length)
        states = functional.embedding(batch.word_piece, flat).float()  # (batch, words, H)
        return states * batch.word_mask[..., None]  # (batch, words, H)

    def _encode_rows(self, encoder: nn.Module, batch: Batch, rows: slice) -> Tensor:
        """Run the encoder on some rows of pieces. Returns ``(rows, pieces, H)``."""
        ids, mask = batch.input_ids[rows], batch.attention_mask[rows]  # (rows, pieces)
        if self.shape is None:
            states: Tensor = encoder(input_ids=ids, attention_mask=mask).last_hidden_state
            return states
        lookup = cast(nn.Module, encoder.get_input_embeddings())  # type: ignore[operator]
        pieces: Tensor = lookup(ids)  # (rows, pieces, input width)
        embedded = pieces + self.shape(batch.shapes[rows]).to(pieces.dtype)
        states = encoder(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        return states

    def decode_tags(self, logits: Tensor, *, word_mask: Tensor) -> Tensor:
        """Decode tag scores as configured. Shapes as in ``decode_constrained``."""
        if self.config.decoding == "argmax":
            return decode_argmax(logits.detach(), word_mask=word_mask)
        tags = decode_constrained(logits.detach(), word_mask=word_mask)
        return join_neighbours(tags, joined=self.joined) if self.config.never_adjacent else tags

    def relate(self, output: JointOutput, candidates: CandidateSet) -> JointOutput:
        """Return ``output`` with the scores of all ordered pairs of ``candidates``."""
        scores = self.score_pairs(output.states, candidates)
        if scores is None:
            return replace(output, candidates=candidates)
        return replace(
            output, candidates=candidates, pair_logits=scores.logits, pair_mask=scores.mask
        )

    def relate_training(
        self, output: JointOutput, gold: Tensor, *, choice: Candidates
    ) -> JointOutput:
        """Return ``output`` with the scores of the pairs of its training candidates.

        Args:
            output: From ``tag``.
            gold: Gold tag classes, negative where padded. Shape ``(batch, words)``, int64.
            choice: As in ``training_candidates``.
        """
        probs = output.ner_logits.detach().softmax(dim=-1)
        candidates = training_candidates(
            predicted=output.tags,
            gold=gold,
            scores=probs.amax(dim=-1),  # (batch, words)
            choice=choice,
            limit=self.config.max_candidates,
        )
        return self.relate(output, candidates)

    def score_pairs(self, states: Tensor, candidates: CandidateSet) -> PairScores | None:
        """Score all ordered pairs of ``candidates``; None if there is nothing to score.

        ``states`` are the word states of the same batch. Shape ``(batch, words, H)``.
        """
        blocks = list(self.score_blocks(states, candidates, max_scores=None))
        return blocks[0] if blocks else None

    def score_blocks(
        self, states: Tensor, candidates: CandidateSet, *, max_scores: int | None
    ) -> Iterator[PairScores]:
        """Score all ordered pairs in blocks of heads.

        Args:
            states: Word states. Shape ``(batch, words, H)``.
            candidates: Candidates of the same batch.
            max_scores: Most scores in a block, unless one head alone has more; None is no limit.
        """
        n_sentences, n_candidates = candidates.mask.shape
        if self.relation is None or n_candidates < 2:
            return
        heads, tails = self.relation.project_candidates(states, candidates)
        types, mask = candidates.types, pair_mask(candidates, self.legal)
        context = self.relation.context
        words = None if context is None else context.prepare(states)
        block = n_candidates
        if max_scores is not None:
            block = max(1, max_scores // (n_sentences * n_candidates * self.legal.shape[2]))
        for first in range(0, n_candidates, block):
            rows = slice(first, first + block)
            scores = self.relation.biaffine(heads[:, rows], tails)  # (batch, heads, tails, R + 1)
            if context is not None and words is not None:
                sentence, head, tail = mask[:, rows].nonzero(as_tuple=True)  # (pairs,) each
                added = context(words, candidates, sentence=sentence, head=head + first, tail=tail)
                scores = scores.index_put((sentence, head, tail), added, accumulate=True)
            legal = legal_between(self.legal, types[:, rows], types)
            yield PairScores(
                first=first, logits=scores.masked_fill(~legal, _ILLEGAL), mask=mask[:, rows]
            )

    def losses(self, output: JointOutput, batch: Batch, *, relation_weight: float) -> Losses:
        """Return ``L_NER``, ``L_RE`` and ``L_NER + relation_weight * L_RE``.

        Raises:
            ShapeError: if the batch has no gold.
        """
        if batch.tags is None or batch.relations is None:
            raise ShapeError("a loss needs a batch with gold labels")
        ner = functional.cross_entropy(
            output.ner_logits.flatten(0, 1),  # (batch * words, 4 * types + 1)
            batch.tags.flatten(),  # (batch * words,)
            ignore_index=IGNORED_TAG,
        )
        pairs = self.labelled_pairs(output, batch)
        n_pairs = 0 if pairs is None else pairs[1].numel()
        relation = ner.new_zeros(())
        if pairs is not None and n_pairs:
            relation = functional.cross_entropy(*pairs)
        return Losses(
            ner=ner,
            relation=relation,
            total=ner + relation_weight * relation,
            n_words=int((batch.tags != IGNORED_TAG).sum()),
            n_pairs=n_pairs,
        )

    def labelled_pairs(self, output: JointOutput, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Return scores ``(pairs, R + 1)`` and classes ``(pairs,)`` of all candidate pairs.

        A gold relation that the schema forbids between its two types counts as ``NEG``.
        """
        if output.pair_logits is None or output.candidates is None or batch.relations is None:
            return None
        labels = label_pairs(output.candidates, batch.relations, n_words=batch.word_mask.shape[1])
        types = output.candidates.types  # (batch, candidates)
        legal = legal_between(self.legal, types, types)  # (batch, candidates, candidates, R + 1)
        is_legal = legal.gather(3, labels[..., None]).squeeze(3)  # (batch, candidates, candidates)
        labels = labels * is_legal
        return output.pair_logits[output.pair_mask], labels[output.pair_mask]


def mean_states(flat: Tensor, *, first: Tensor, length: Tensor) -> Tensor:
    """Average the states of the pieces of each word.

    Args:
        flat: Piece states. Shape ``(rows * pieces, H)``.
        first: Index of each word's first piece in ``flat``. Shape ``(batch, words)``.
        length: Number of pieces of each word, 0 where padded. Shape ``(batch, words)``.

    Returns:
        Shape ``(batch, words, H)``; 0 where padded.
    """
    pieces, offsets = piece_places(first.flatten(), length.flatten())  # (pieces,), (batch * words,)
    mean = functional.embedding_bag(pieces, flat, offsets, mode="mean")  # (batch * words, H)
    return mean.view(*first.shape, -1)  # (batch, words, H)
