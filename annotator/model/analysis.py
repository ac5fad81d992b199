"""One pass over a batch at inference: entities, relations, signals, embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from annotator.model.batch import Batch
from annotator.model.candidates import CandidateSet, candidates_from_spans
from annotator.model.decoding import find_spans
from annotator.model.joint import JointModel
from annotator.model.signals import SIGNALS, head_disagreement, sum_pair_entropy, word_signals

__all__ = ["BatchAnalysis", "FoundRelations", "analyse", "relate", "score_entities"]

_MAX_PAIR_SCORES = 1 << 24  # scores held at once; more heads are taken in blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRelations:
    """The predicted relations of a batch, and the uncertainty of their pairs.

    Attributes:
        index: Sentence, head candidate, tail candidate, class. Shape ``(relations, 4)``, int64.
        score: Confidence in [0, 1]. Shape ``(relations,)``.
        entropy: Sum over a sentence's candidate pairs, nats. Shape ``(batch,)``.
        n_pairs: Number of a sentence's candidate pairs. Shape ``(batch,)``.
    """

    index: Tensor
    score: Tensor
    entropy: Tensor
    n_pairs: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnalysis:
    """The predictions of a batch.

    Attributes:
        candidates: Predicted entities.
        entity_scores: Their confidences. Shape ``(batch, candidates)``.
        relations: Predicted relations between them.
        signals: In the order of ``SIGNALS``, then ``BALD`` if requested.
            Shape ``(batch, signals)``.
        embedding: L2-normalised mean word states. Shape ``(batch, H)``.
    """

    candidates: CandidateSet
    entity_scores: Tensor
    relations: FoundRelations
    signals: Tensor
    embedding: Tensor


def analyse(
    model: JointModel,
    batch: Batch,
    *,
    row_budget: int | None = None,
    network: nn.Module | None = None,
    bald_passes: int = 0,
) -> BatchAnalysis:
    """Predict a batch; the arguments are those of ``JointModel.encode``.

    ``bald_passes`` above 0 adds the signal ``bald``: the heads run that many additional times, with
    dropout.
    """
    output = model.tag(batch, row_budget=row_budget, network=network)
    log_probs = (output.ner_logits / model.calibration.ner_temperature).log_softmax(dim=-1)
    spans = find_spans(output.tags)
    candidates = candidates_from_spans(output.tags, spans)
    tag_probs = log_probs.gather(2, output.tags[..., None]).squeeze(2).exp()  # (batch, words)
    entity_scores = score_entities(tag_probs, candidates, ends=spans.ends)
    relations = relate(model, output.states, candidates, scores=entity_scores)
    n_entities = candidates.mask.sum(dim=1)  # (batch,)
    signals = word_signals(
        log_probs,
        word_mask=batch.word_mask,
        pair_entropy=relations.entropy,
        n_pairs=relations.n_pairs,
        n_predicted=n_entities * (n_entities - 1),
        hidden_pair_entropy=model.calibration.pair_entropy,
        has_relations=model.relation is not None,
    )
    columns = [signals[name] for name in SIGNALS]
    if bald_passes:
        columns.append(
            head_disagreement(
                model,
                output.states,
                candidates,
                word_mask=batch.word_mask,
                n_passes=bald_passes,
            )
        )
    n_words = batch.word_mask.sum(dim=1, keepdim=True)  # (batch, 1)
    mean = output.states.sum(dim=1) / n_words.clamp(min=1)  # (batch, H)
    return BatchAnalysis(
        candidates=candidates,
        entity_scores=entity_scores,
        relations=relations,
        signals=torch.stack(columns, dim=1),  # (batch, signals)
        embedding=functional.normalize(mean, dim=1),
    )


def score_entities(tag_probs: Tensor, candidates: CandidateSet, *, ends: Tensor) -> Tensor:
    """Score entities by their least certain tags.

    The tags of one entity are right or wrong together, so the least probable one is an upper bound
    for the entity and close to it; their product would count the same uncertainty several times.

    Args:
        tag_probs: Calibrated probability of each word's decoded tag. Shape ``(batch, words)``.
        candidates: The decoded entities, in order of their last words.
        ends: True at the last word of each. Shape ``(batch, words)``, bool.

    Returns:
        Scores in [0, 1], 0 where padded. Shape ``(batch, candidates)``.
    """
    if candidates.mask.shape[1] == 0:
        return tag_probs.new_zeros(candidates.mask.shape)
    word = torch.arange(tag_probs.shape[1], device=tag_probs.device)  # (words,)
    # The entity that ends here or next.
    slot = ends.cumsum(dim=1) - ends.long()  # (batch, words)
    inside_range = slot < candidates.mask.shape[1]
    slot = slot.clamp(max=candidates.mask.shape[1] - 1)
    first, last = candidates.first.gather(1, slot), candidates.last.gather(1, slot)
    inside = inside_range & (first <= word) & (word <= last)  # (batch, words)
    values = torch.where(inside, tag_probs, 1.0)
    scores = tag_probs.new_ones(candidates.mask.shape)
    scores = scores.scatter_reduce(1, slot, values, reduce="amin")  # (batch, candidates)
    return scores.clamp(0.0, 1.0) * candidates.mask


def relate(
    model: JointModel, states: Tensor, candidates: CandidateSet, *, scores: Tensor
) -> FoundRelations:
    """Predict the relations between candidates of the same batch.

    The score of a relation is its calibrated probability, but at most the score of its weaker
    entity: the relation head learnt ``NEG`` for pairs with a wrong entity, so that its probability
    already refers to the whole triple.

    ``states`` has shape ``(batch, words, H)``, ``scores`` is of the candidates and has shape
    ``(batch, candidates)``.
    """
    n_sentences = len(candidates.mask)
    entropy, n_pairs = states.new_zeros(n_sentences), states.new_zeros(n_sentences)
    parts: list[tuple[Tensor, Tensor]] = []
    for block in model.score_blocks(states, candidates, max_scores=_MAX_PAIR_SCORES):
        logits = block.logits / model.calibration.relation_temperature
        log_probs = logits.log_softmax(dim=-1)  # (batch, heads, candidates, R + 1)
        entropy += sum_pair_entropy(log_probs, block.mask)
        n_pairs += block.mask.sum(dim=(1, 2))  # (batch,)
        parts.append(_best(log_probs, block.mask, scores, start=block.first))
    if not parts:
        index, score = candidates.last.new_zeros(0, 4), states.new_zeros(0)
    else:
        index = torch.cat([part[0] for part in parts])  # (relations, 4)
        score = torch.cat([part[1] for part in parts])  # (relations,)
    return FoundRelations(index=index, score=score, entropy=entropy, n_pairs=n_pairs)


def _best(log_probs: Tensor, mask: Tensor, scores: Tensor, *, start: int) -> tuple[Tensor, Tensor]:
    best = log_probs.max(dim=-1)  # (batch, heads, candidates)
    sentence, head, tail = ((best.indices > 0) & mask).nonzero(as_tuple=True)  # (relations,) each
    label = best.indices[sentence, head, tail]  # (relations,)
    weaker = torch.minimum(scores[sentence, head + start], scores[sentence, tail])
    score = torch.minimum(best.values[sentence, head, tail].exp(), weaker).clamp(0.0, 1.0)
    index = torch.stack((sentence, head + start, tail, label), dim=1)  # (relations, 4)
    return index, score
