"""Candidate entities of the relation head, their pairs, and the classes of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from annotator.domain import WordEntity
from annotator.errors import InputError, LabelError
from annotator.model.config import Candidates as CandidateChoice
from annotator.model.config import ModelConfig
from annotator.model.decoding import Spans, find_spans

__all__ = [
    "CandidateSet",
    "candidates_from_entities",
    "candidates_from_spans",
    "label_pairs",
    "legal_between",
    "legal_classes",
    "pair_mask",
    "training_candidates",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """The candidates of a batch, in order of their last words, padded on the right.

    Attributes:
        first: First word. Shape ``(batch, candidates)``, int64.
        last: Last word, 0 where padded. Shape ``(batch, candidates)``, int64.
        tags: Tag class of the last word, 0 where padded. Shape ``(batch, candidates)``, int64.
        mask: True where a candidate is real. Shape ``(batch, candidates)``, bool.
        right: True where the candidate is a gold entity. Shape ``(batch, candidates)``, bool.
            None without gold.
    """

    first: Tensor
    last: Tensor
    tags: Tensor
    mask: Tensor
    right: Tensor | None = None

    @property
    def types(self) -> Tensor:
        """Entity type numbers, 0 where padded. Shape ``(batch, candidates)``, int64."""
        return (self.tags - 1).clamp(min=0).div(4, rounding_mode="floor")

    def take(self, rows: list[int]) -> CandidateSet:
        """Return the candidates of some sentences, in the order of ``rows``."""
        return CandidateSet(
            first=self.first[rows],
            last=self.last[rows],
            tags=self.tags[rows],
            mask=self.mask[rows],
            right=None if self.right is None else self.right[rows],
        )

    def columns(self, part: slice) -> CandidateSet:
        """Return a range of the candidates of every sentence."""
        return CandidateSet(
            first=self.first[:, part],
            last=self.last[:, part],
            tags=self.tags[:, part],
            mask=self.mask[:, part],
            right=None if self.right is None else self.right[:, part],
        )

    def to(self, device: torch.device) -> CandidateSet:
        """Return the same candidates on ``device``."""
        return CandidateSet(
            first=self.first.to(device),
            last=self.last.to(device),
            tags=self.tags.to(device),
            mask=self.mask.to(device),
            right=None if self.right is None else self.right.to(device),
        )


def legal_classes(config: ModelConfig) -> Tensor:
    """Return which relation classes are allowed between two entity types; ``NEG`` always is.

    Returns:
        Shape ``(types, types, R + 1)``, bool.
    """
    types, classes = config.schema.entity_types, config.relation_classes
    legal = torch.ones(len(types), len(types), len(classes), dtype=torch.bool)
    if config.legal_pairs:
        restricted = {relation for relation, _, _ in config.schema.pairs}
        for i, relation in enumerate(classes[1:], start=1):
            legal[:, :, i] = relation not in restricted
        for relation, head, tail in config.schema.pairs:
            legal[types.index(head), types.index(tail), classes.index(relation)] = True
    return legal


def legal_between(legal: Tensor, heads: Tensor, tails: Tensor) -> Tensor:
    """Look up what is allowed between each head and each tail.

    Args:
        legal: By the types of head and tail. Shape ``(types, types, ...)``.
        heads: Entity type numbers. Shape ``(batch, heads)``, int64.
        tails: Entity type numbers. Shape ``(batch, tails)``, int64.

    Returns:
        Shape ``(batch, heads, tails, ...)``.
    """
    return legal[heads[:, :, None], tails[:, None, :]]  # (batch, heads, tails, ...)


def pair_mask(candidates: CandidateSet, legal: Tensor) -> Tensor:
    """Return which ordered pairs are candidates: two different entities that may be related.

    Returns:
        Shape ``(batch, candidates, candidates)``, bool.
    """
    types, mask = candidates.types, candidates.mask
    possible = legal[..., 1:].any(dim=-1)  # (types, types)
    pairs = mask[:, :, None] & mask[:, None, :]  # (batch, candidates, candidates)
    itself = torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    return pairs & ~itself & legal_between(possible, types, types)


def candidates_from_spans(
    tags: Tensor, spans: Spans, *, right: Tensor | None = None
) -> CandidateSet:
    """Collect the entities of ``spans`` as candidates.

    Args:
        tags: Tag classes. Shape ``(batch, words)``, int64.
        spans: The entities in ``tags``.
        right: True at the last word of a gold entity. Shape ``(batch, words)``, bool.
    """
    ends = spans.ends
    n_candidates = int(ends.sum(dim=1).max()) if ends.numel() else 0
    sentence, word = ends.nonzero(as_tuple=True)  # (entities,) each
    slot = ends.cumsum(dim=1)[sentence, word] - 1  # (entities,)
    last = tags.new_zeros(tags.shape[0], n_candidates)  # (batch, candidates)
    last[sentence, slot] = word
    mask = torch.zeros_like(last, dtype=torch.bool)
    mask[sentence, slot] = True
    return CandidateSet(
        first=spans.first.gather(1, last) * mask,  # (batch, candidates)
        last=last,
        tags=tags.gather(1, last) * mask,  # (batch, candidates)
        mask=mask,
        right=None if right is None else right.gather(1, last) & mask,  # (batch, candidates)
    )


def candidates_from_entities(
    entities: Sequence[Sequence[WordEntity]], *, n_words: Sequence[int], config: ModelConfig
) -> CandidateSet:
    """Use given entities as candidates, each at its index in its list.

    Raises:
        LabelError: if a type is not in the schema.
        InputError: if an entity ends past its sentence.
    """
    numbers = {name: i for i, name in enumerate(config.schema.entity_types)}
    width = max((len(found) for found in entities), default=0)
    shape = (len(entities), width)
    first, last, tags = (torch.zeros(shape, dtype=torch.int64) for _ in range(3))
    mask = torch.zeros(shape, dtype=torch.bool)
    for i, found in enumerate(entities):
        for j, entity in enumerate(found):
            if entity.type not in numbers:
                raise LabelError(f"entity type {entity.type} is not among those of the model")
            if entity.last >= n_words[i]:
                raise InputError(f"entity ends at word {entity.last} of {n_words[i]} words")
            kind = 4 if entity.first == entity.last else 3
            first[i, j], last[i, j] = entity.first, entity.last
            tags[i, j] = 4 * numbers[entity.type] + kind
            mask[i, j] = True
    return CandidateSet(first=first, last=last, tags=tags, mask=mask)


def training_candidates(
    *,
    predicted: Tensor,
    gold: Tensor,
    scores: Tensor,
    choice: CandidateChoice,
    limit: int,
) -> CandidateSet:
    """Choose the candidates of a training batch and mark those that are gold.

    If a wrong prediction ends at the last word of a gold entity, ``both`` keeps the gold one.

    Args:
        predicted: Decoded tag classes. Shape ``(batch, words)``, int64.
        gold: Gold tag classes, negative where padded. Shape ``(batch, words)``, int64.
        scores: Confidence for each word. Shape ``(batch, words)``.
        choice: ``predicted`` as in the paper, ``gold``, or ``both``.
        limit: Most candidates per sentence; gold ones come first, then the most certain.
    """
    gold_spans = find_spans(gold)
    if choice == "gold":
        return candidates_from_spans(gold, gold_spans, right=gold_spans.ends)
    spans = find_spans(predicted)
    if choice == "both":
        tags = torch.where(gold_spans.ends, gold, predicted)
        first = torch.where(gold_spans.ends, gold_spans.first, spans.first)
        ends, right = spans.ends | gold_spans.ends, gold_spans.ends
    else:
        tags, first, ends = predicted, spans.first, spans.ends
        right = ends & gold_spans.ends & (tags == gold) & (first == gold_spans.first)
    if ends.shape[1] > limit:
        ends = _keep_best(ends, scores=scores + right.to(scores.dtype), limit=limit)
    return candidates_from_spans(tags, Spans(ends=ends, first=first), right=right & ends)


def _keep_best(ends: Tensor, *, scores: Tensor, limit: int) -> Tensor:
    ranked = scores.masked_fill(~ends, -1.0).topk(limit, dim=1).indices  # (batch, limit)
    best = torch.zeros_like(ends).scatter_(1, ranked, True)  # (batch, words)
    return ends & best


def label_pairs(candidates: CandidateSet, relations: Tensor, *, n_words: int) -> Tensor:
    """Return the class of each pair: the gold relation if both candidates are gold, else ``NEG``.

    Args:
        candidates: Candidates with ``right``.
        relations: Sentence, last word of head, last word of tail, class.
            Shape ``(relations, 4)``, int64.
        n_words: Padded number of words.

    Returns:
        Classes, 0 is ``NEG``. Shape ``(batch, candidates, candidates)``, int64.
    """
    right = candidates.mask if candidates.right is None else candidates.right
    n_sentences, n_candidates = right.shape
    labels = relations.new_zeros(n_sentences, n_candidates, n_candidates)
    slots = relations.new_full((n_sentences, n_words), -1)
    sentence, slot = right.nonzero(as_tuple=True)  # (gold candidates,) each
    slots[sentence, candidates.last[sentence, slot]] = slot
    owner, head, tail, label = relations.unbind(dim=1)  # (relations,) each
    head_slot, tail_slot = slots[owner, head], slots[owner, tail]  # (relations,) each
    found = (head_slot >= 0) & (tail_slot >= 0)
    labels[owner[found], head_slot[found], tail_slot[found]] = label[found]
    return labels
