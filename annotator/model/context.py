"""What stands between two entities: the words there, and how many they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annotator.model.candidates import CandidateSet
from annotator.model.config import ModelConfig

__all__ = ["PairContext", "RangeMaximum"]

#: Least number of words between two entities, one bucket each.
_BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 34)


class RangeMaximum:
    """Answers for the greatest value in any range of words, in constant time a range.

    A sparse table (Bender & Farach-Colton 2000): level ``k`` holds the maximum over the ``2^k``
    words from each word on, and two overlapping powers of two cover any range.

    Args:
        values: Word values. Shape ``(batch, words, width)``.
    """

    def __init__(self, values: Tensor) -> None:
        n_words = values.shape[1]
        levels, spans = [values], [1]
        while 2 * spans[-1] <= n_words:
            below, kept = levels[-1], n_words - spans[-1]
            above = torch.maximum(below[:, :kept], below[:, spans[-1] :])
            levels.append(torch.cat((above, below[:, kept:]), dim=1))
            spans.append(2 * spans[-1])
        self._table = torch.stack(levels, dim=1)  # (batch, levels, words, width)
        self._spans = torch.tensor(spans, device=values.device)

    def query(self, sentence: Tensor, start: Tensor, length: Tensor) -> Tensor:
        """Return the maxima over ``length`` words from ``start`` on; 0 where the length is 0.

        Args:
            sentence: Number in the batch. Shape ``(ranges,)``, int64.
            start: First word. Shape ``(ranges,)``, int64.
            length: Number of words, 0 or more. Shape ``(ranges,)``, int64.

        Returns:
            Shape ``(ranges, width)``.
        """
        some = length > 0
        level = torch.bucketize(length, self._spans, right=True).sub(1).clamp(min=0)
        first = start.where(some, 0)
        second = (start + length - self._spans[level]).where(some, 0)
        left, right = (self._table[sentence, level, word] for word in (first, second))
        greatest: Tensor = torch.maximum(left, right) * some[:, None]
        return greatest


class PairContext(nn.Module):
    """Scores pairs by the words between them (cf. Eberts & Ulges 2020) and their distance.

    The words' states are projected and rectified; the maximum over the words between the two
    entities is scored by one linear layer for pairs whose head comes first, and by another for
    the rest. A score for each distance and order is added.
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
        """Get ready for the pairs of a batch. ``states`` ``(batch, words, H)``."""
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
            sentence: Number of each pair's sentence. Shape ``(pairs,)``, int64.
            head: Number of its head among the candidates. Shape ``(pairs,)``, int64.
            tail: Number of its tail. Shape ``(pairs,)``, int64.

        Returns:
            Shape ``(pairs, R + 1)``.
        """
        first, last = candidates.first, candidates.last
        head_first = last[sentence, head] < first[sentence, tail]
        left, right = head.where(head_first, tail), tail.where(head_first, head)
        start = last[sentence, left] + 1
        length = (first[sentence, right] - start).clamp(min=0)
        scores = self.output(self.dropout(words.query(sentence, start, length)))
        forwards, backwards = scores.split(self.n_classes, dim=-1)
        bucket = torch.bucketize(length, self.buckets, right=True)
        pooled = torch.where(head_first[:, None], forwards, backwards)
        total: Tensor = pooled + self.distance(bucket + len(_BUCKETS) * head_first)
        return total
