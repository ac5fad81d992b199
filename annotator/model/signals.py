"""Acquisition signals of each sentence, from the pass that also makes the predictions.

=====================  =============================================================================
``n_words``            number of words
``token_entropy``      mean entropy of a word's tag, nats
``mnlp``               mean of -log p of the best tag (maximum normalised log-probability, negated)
``ltp``                1 - the lowest of the words' best tag probabilities
``least_confidence``   1 - the probability of all best tags at once; grows with length
``margin``             1 - the mean gap between the two best tags
``pair_entropy_sum``   sum of the entropies of all candidate pairs, nats
``n_pairs``            number of candidate pairs
``hidden_pairs``       pairs expected from the mass on E- and S- tags, beyond those predicted
``joint_rate``         (sum of token and pair entropies + hidden pairs x mean pair entropy) / words
=====================  =============================================================================

Where a predictor is asked for it there is ``bald`` as well, see ``head_disagreement``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from annotator.model.candidates import CandidateSet
from annotator.model.joint import JointModel

__all__ = [
    "BALD",
    "SIGNALS",
    "entropy",
    "head_disagreement",
    "sum_pair_entropy",
    "word_signals",
]

BALD = "bald"
_SEED = 7  # the same scores for the same model, batch by batch

SIGNALS = (
    "n_words",
    "token_entropy",
    "mnlp",
    "ltp",
    "least_confidence",
    "margin",
    "pair_entropy_sum",
    "n_pairs",
    "hidden_pairs",
    "joint_rate",
)


def entropy(log_probs: Tensor) -> Tensor:
    """Return the entropy over the last axis, in nats."""
    total: Tensor = torch.special.entr(log_probs.exp()).sum(dim=-1)  # all but the last axis
    return total


def sum_pair_entropy(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Sum the entropies of the candidate pairs of each sentence.

    Args:
        log_probs: Relation log-probabilities. Shape ``(batch, heads, tails, R + 1)``.
        mask: True where a pair is a candidate. Shape ``(batch, heads, tails)``, bool.

    Returns:
        Shape ``(batch,)``.
    """
    return (entropy(log_probs) * mask).sum(dim=(1, 2))  # (batch,)


def word_signals(
    log_probs: Tensor,
    *,
    word_mask: Tensor,
    pair_entropy: Tensor,
    n_pairs: Tensor,
    n_predicted: Tensor,
    hidden_pair_entropy: float,
    has_relations: bool,
) -> dict[str, Tensor]:
    """Compute all signals of a batch.

    Args:
        log_probs: Calibrated tag log-probabilities. Shape ``(batch, words, 4 * types + 1)``.
        word_mask: True where a word is real. Shape ``(batch, words)``, bool.
        pair_entropy: From ``sum_pair_entropy``. Shape ``(batch,)``.
        n_pairs: Number of candidate pairs. Shape ``(batch,)``.
        n_predicted: Number of ordered pairs of predicted entities, including those whose types
            allow no relation. Shape ``(batch,)``.
        hidden_pair_entropy: Entropy assumed for one hidden pair, nats.
        has_relations: False leaves hidden pairs at 0, for a schema without relation types.

    Returns:
        One tensor per name of ``SIGNALS``, each of shape ``(batch,)``.
    """
    mask = word_mask.to(log_probs.dtype)
    n_words = mask.sum(dim=1)  # (batch,)
    words = n_words.clamp(min=1.0)
    token_entropy = (entropy(log_probs) * mask).sum(dim=1)  # (batch,)
    top = log_probs.topk(2, dim=-1).values  # (batch, words, 2)
    best = top[..., 0] * mask  # (batch, words)
    gap = (top[..., 0].exp() - top[..., 1].exp()) * mask
    probs = log_probs.exp()
    end, single = probs[..., 3::4].sum(dim=-1), probs[..., 4::4].sum(dim=-1)  # (batch, words) each
    ending = (end + single) * mask  # (batch, words)
    expected = ending.sum(dim=1).square() - ending.square().sum(dim=1)  # (batch,)
    hidden = (expected - n_predicted).clamp(min=0.0) * float(has_relations)
    return {
        "n_words": n_words,
        "token_entropy": token_entropy / words,
        "mnlp": -best.sum(dim=1) / words,
        "ltp": 1.0 - best.amin(dim=1).exp(),
        "least_confidence": 1.0 - best.sum(dim=1).exp(),
        "margin": 1.0 - gap.sum(dim=1) / words,
        "pair_entropy_sum": pair_entropy,
        "n_pairs": n_pairs.to(log_probs.dtype),
        "hidden_pairs": hidden,
        "joint_rate": (token_entropy + pair_entropy + hidden * hidden_pair_entropy) / words,
    }


def head_disagreement(
    model: JointModel,
    states: Tensor,
    candidates: CandidateSet,
    *,
    word_mask: Tensor,
    n_passes: int,
) -> Tensor:
    """Return the mutual information of labels and dropout masks, over words, in nats.

    The sum over tags and candidate pairs is divided by the number of words. Dropout masks are drawn
    anew for each batch, so that a score depends slightly on the batch.

    Args:
        model: The model, in evaluation mode; it is left in that mode.
        states: Word states. Shape ``(batch, words, H)``.
        candidates: Predicted entities of the same batch.
        word_mask: True where a word is real. Shape ``(batch, words)``, bool.
        n_passes: How often the heads run.

    Returns:
        Shape ``(batch,)``; 0 for a sentence without words.
    """
    tags, pairs = _Disagreement(), _Disagreement()
    pair_mask: Tensor | None = None
    with _dropout_in_heads(model, states.device):
        for _ in range(n_passes):
            logits = model.ner(states) / model.calibration.ner_temperature
            tags.add(logits.log_softmax(dim=-1))
            scores = model.score_pairs(states, candidates)
            if scores is not None:
                pair_mask = scores.mask
                logits = scores.logits / model.calibration.relation_temperature
                pairs.add(logits.log_softmax(dim=-1))
    total = (tags.result() * word_mask).sum(dim=1)  # (batch,)
    if pair_mask is not None:
        total = total + (pairs.result() * pair_mask).sum(dim=(1, 2))  # (batch,)
    return total / word_mask.sum(dim=1).clamp(min=1)  # (batch,)


class _Disagreement:
    """Running sums over passes: the entropy of the mean minus the mean of the entropies."""

    def __init__(self) -> None:
        self._n = 0
        self._probs: Tensor | float = 0.0
        self._entropy: Tensor | float = 0.0

    def add(self, log_probs: Tensor) -> None:
        self._n += 1
        self._probs = self._probs + log_probs.exp()
        self._entropy = self._entropy + entropy(log_probs)

    def result(self) -> Tensor:
        mean = torch.as_tensor(self._probs) / self._n
        found: Tensor = torch.special.entr(mean).sum(dim=-1) - self._entropy / self._n
        return found.clamp(min=0.0)


@contextmanager
def _dropout_in_heads(model: JointModel, device: torch.device) -> Iterator[None]:
    """Enable dropout in the heads for a block, from a fixed seed; the global state is kept."""
    heads = [head for head in (model.ner, model.relation) if head is not None]
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(_SEED)
        for head in heads:
            head.train()
        try:
            yield
        finally:
            for head in heads:
                head.eval()
