"""The layers added to the encoder: word shapes, tags of words, relations of candidate entities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annotator.model.candidates import CandidateSet
from annotator.model.config import ModelConfig
from annotator.model.pieces import SHAPES

__all__ = ["Biaffine", "NerHead", "PairContext", "RangeMaximum", "RelationHead", "ShapeEmbedding"]

#: Least number of words between two entities, one bucket each.
_BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 34)


class ShapeEmbedding(nn.Embedding):
    """Embedding of word shapes, added to the encoder's input; 0 at first, always 0 for class 0."""

    def __init__(self, width: int) -> None:
        super().__init__(len(SHAPES), width, padding_idx=0)
        nn.init.zeros_(self.weight)


class NerHead(nn.Module):
    """Scores the BIOES tags of each word: ``s_n = W x_n + b``."""

    def __init__(self, state_width: int, config: ModelConfig) -> None:
        super().__init__()
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(state_width, len(config.tags))
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Score tags. ``(batch, words, H)`` -> ``(batch, words, 4 * types + 1)``."""
        scores: Tensor = self.output(self.dropout(states))
        return scores


class Biaffine(nn.Module):
    """``s = h^T U t + W [h ; t] + b`` for all pairs of heads and tails (Dozat & Manning 2017)."""

    def __init__(self, width: int, n_classes: int, *, bilinear: bool = True) -> None:
        super().__init__()
        self.n_classes = n_classes
        form = torch.empty(width, n_classes, width).normal_(std=1.0 / width) if bilinear else None
        self.U: nn.Parameter | None
        self.register_parameter("U", None if form is None else nn.Parameter(form))
        self.linear_head = nn.Linear(width, n_classes)
        self.linear_tail = nn.Linear(width, n_classes, bias=False)

    def forward(self, heads: Tensor, tails: Tensor) -> Tensor:
        """Score every ordered pair.

        Args:
            heads: Projected heads. Shape ``(batch, heads, m)``.
            tails: Projected tails. Shape ``(batch, tails, m)``.

        Returns:
            Class scores. Shape ``(batch, heads, tails, classes)``.

        Memory is O(batch * heads * (tails + m) * classes); pairs times m is never materialised.
        """
        by_head: Tensor = self.linear_head(heads)[:, :, None]  # (batch, heads, 1, classes)
        by_tail: Tensor = self.linear_tail(tails)[:, None]  # (batch, 1, tails, classes)
        scores = by_head + by_tail  # (batch, heads, tails, classes)
        if self.U is None:
            return scores
        width = heads.shape[2]
        left = heads @ self.U.reshape(width, -1)  # (batch, heads, classes * m)
        left = left.reshape(heads.shape[0], -1, width)  # (batch, heads * classes, m)
        form = left @ tails.transpose(1, 2)  # (batch, heads * classes, tails)
        form = form.reshape(*heads.shape[:2], self.n_classes, -1)  # (batch, heads, classes, tails)
        return scores + form.transpose(2, 3)  # (batch, heads, tails, classes)


class RangeMaximum:
    """The greatest value in any range of words, in constant time per range.

    A sparse table (Bender & Farach-Colton 2000): level ``k`` holds the maximum over the ``2^k``
    words from each word on, and two overlapping powers of two cover any range. ``values`` has
    shape ``(batch, words, width)``.
    """

    def __init__(self, values: Tensor) -> None:
        n_words = values.shape[1]
        levels, spans = [values], [1]
        while 2 * spans[-1] <= n_words:
            below, kept = levels[-1], n_words - spans[-1]
            above = torch.maximum(below[:, :kept], below[:, spans[-1] :])
            levels.append(torch.cat((above, below[:, kept:]), dim=1))  # (batch, words, width)
            spans.append(2 * spans[-1])
        self._table = torch.stack(levels, dim=1)  # (batch, levels, words, width)
        self._spans = torch.tensor(spans, device=values.device)

    def query(self, sentence: Tensor, start: Tensor, length: Tensor) -> Tensor:
        """Return the maxima over ``length`` words from ``start`` on; 0 where the length is 0.

        Args:
            sentence: Index in the batch. Shape ``(ranges,)``, int64.
            start: First word. Shape ``(ranges,)``, int64.
            length: Number of words, 0 or more. Shape ``(ranges,)``, int64.

        Returns:
            Shape ``(ranges, width)``.
        """
        some = length > 0
        level = torch.bucketize(length, self._spans, right=True).sub(1).clamp(min=0)
        first = start.where(some, 0)
        second = (start + length - self._spans[level]).where(some, 0)
        left = self._table[sentence, level, first]  # (ranges, width)
        right = self._table[sentence, level, second]  # (ranges, width)
        return torch.maximum(left, right) * some[:, None]  # (ranges, width)


class PairContext(nn.Module):
    """Scores pairs by the words between them (cf. Eberts & Ulges 2020) and their distance.

    Word states are projected and rectified; the maximum over the words between the two entities is
    scored by one linear layer for pairs whose head comes first, and by another for the rest. A
    score for each distance and order is added.
    """

    buckets: Tensor

    def __init__(self, state_width: int, config: ModelConfig) -> None:
        super().__init__()
        self.n_classes = len(config.relation_classes)
        self.project = nn.Linear(state_width, config.context)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.context, 2 * self.n_classes, bias=False)
        self.distance = nn.Embedding(2 * len(_BUCKETS), self.n_classes)
        nn.init.zeros_(self.distance.weight)
        self.register_buffer("buckets", torch.tensor(_BUCKETS[1:]), persistent=False)

    def prepare(self, states: Tensor) -> RangeMaximum:
        """Project the words of a batch for ``forward``. ``states`` ``(batch, words, H)``."""
        return RangeMaximum(self.project(states).relu())

    def forward(
        self,
        words: RangeMaximum,
        candidates: CandidateSet,
        *,
        sentence: Tensor,
        head: Tensor,
        tail: Tensor,
    ) -> Tensor:
        """Score some ordered pairs.

        Args:
            words: From ``prepare``, of the same batch.
            candidates: The candidates.
            sentence: Index of each pair's sentence. Shape ``(pairs,)``, int64.
            head: Index of its head among the candidates. Shape ``(pairs,)``, int64.
            tail: Index of its tail. Shape ``(pairs,)``, int64.

        Returns:
            Shape ``(pairs, R + 1)``.
        """
        first, last = candidates.first, candidates.last
        head_first = last[sentence, head] < first[sentence, tail]
        left, right = head.where(head_first, tail), tail.where(head_first, head)  # (pairs,) each
        start = last[sentence, left] + 1
        length = (first[sentence, right] - start).clamp(min=0)
        pooled = words.query(sentence, start, length)  # (pairs, width)
        scores = self.output(self.dropout(pooled))  # (pairs, 2 * (R + 1))
        forwards, backwards = scores.split(self.n_classes, dim=-1)  # (pairs, R + 1) each
        bucket = torch.bucketize(length, self.buckets, right=True)
        between = torch.where(head_first[:, None], forwards, backwards)  # (pairs, R + 1)
        total: Tensor = between + self.distance(bucket + len(_BUCKETS) * head_first)
        return total


def _projection(width_in: int, config: ModelConfig) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width_in, config.hidden),
        nn.ReLU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.width),
        nn.ReLU(),
        nn.Dropout(config.dropout),
    )


class RelationHead(nn.Module):
    """Scores the relations of all ordered pairs of candidates.

    A candidate is ``z = [x ; e]``, the state of its last word and the embedding of that word's
    tag; ``h = FFNN_head(z)``, ``t = FFNN_tail(z)``; the pair is scored by a biaffine form.
    """

    def __init__(self, state_width: int, config: ModelConfig) -> None:
        super().__init__()
        self.embedding = (
            nn.Embedding(len(config.tags), config.label_embedding)
            if config.label_embedding
            else None
        )
        joined = state_width + config.label_embedding
        self.head_network: nn.Module = nn.Identity()
        self.tail_network: nn.Module | None = None
        if config.projection != "none":
            self.head_network = _projection(joined, config)
        if config.projection == "two":
            self.tail_network = _projection(joined, config)
        width = joined if config.projection == "none" else config.width
        self.dropout = nn.Dropout(config.dropout)
        self.biaffine = Biaffine(width, len(config.relation_classes), bilinear=config.bilinear)
        self.context = PairContext(state_width, config) if config.context else None

    def project(self, states: Tensor, tags: Tensor) -> tuple[Tensor, Tensor]:
        """Project candidates as heads and as tails.

        Args:
            states: State of each candidate's last word. Shape ``(batch, candidates, H)``.
            tags: Tag class of that word. Shape ``(batch, candidates)``, int64.

        Returns:
            Heads and tails, each of shape ``(batch, candidates, m)``.
        """
        joined = self.dropout(states)
        if self.embedding is not None:
            labels = self.embedding(tags)  # (batch, candidates, label_embedding)
            joined = torch.cat((joined, labels), dim=-1)  # (batch, candidates, H + label_embedding)
        heads = self.head_network(joined)
        tails = heads if self.tail_network is None else self.tail_network(joined)
        return heads, tails

    def forward(self, states: Tensor, tags: Tensor) -> Tensor:
        """Score all pairs as in the paper; the arguments are those of ``project``.

        Returns:
            Shape ``(batch, candidates, candidates, R + 1)``.
        """
        heads, tails = self.project(states, tags)
        scores: Tensor = self.biaffine(heads, tails)
        return scores

    def project_candidates(self, states: Tensor, candidates: CandidateSet) -> tuple[Tensor, Tensor]:
        """Project the real candidates; most places of a batch are padding, left at 0.

        Args:
            states: Word states. Shape ``(batch, words, H)``.
            candidates: Candidates of the same batch.

        Returns:
            Heads and tails, each of shape ``(batch, candidates, m)``.
        """
        sentence, slot = candidates.mask.nonzero(as_tuple=True)  # (entities,) each
        words = candidates.last[sentence, slot]  # (entities,)
        tags = candidates.tags[sentence, slot]  # (entities,)
        heads, tails = self.project(states[sentence, words], tags)  # (entities, m) each
        places = sentence, slot
        empty = heads.new_zeros(*candidates.mask.shape, heads.shape[1])  # (batch, candidates, m)
        return empty.index_put(places, heads), empty.index_put(places, tails)
