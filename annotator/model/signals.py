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

Where a predictor is asked for it there is ``bald`` as well, see ``annotator.model.bald``.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["BALD", "SIGNALS", "entropy", "sum_pair_entropy", "word_signals"]

BALD = "bald"

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
    total: Tensor = torch.special.entr(log_probs.exp()).sum(dim=-1)
    return total


def sum_pair_entropy(log_probs: Tensor, mask: Tensor) -> Tensor:
    """Sum the entropies of the candidate pairs of each sentence.

    Args:
        log_probs: Relation log-probabilities. Shape ``(batch, heads, tails, R + 1)``.
        mask: True where a pair is a candidate. Shape ``(batch, heads, tails)``, bool.

    Returns:
        Shape ``(batch,)``.
    """
    return (entropy(log_probs) * mask).sum(dim=(1, 2))


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
        n_predicted: Number of ordered pairs of predicted entities, the type-illegal ones
            included. Shape ``(batch,)``.
        hidden_pair_entropy: Entropy that stands for one hidden pair, nats.
        has_relations: False leaves hidden pairs at 0, for a schema without relation types.

    Returns:
        One tensor a name of ``SIGNALS``, each of shape ``(batch,)``.
    """
    mask = word_mask.to(log_probs.dtype)
    n_words = mask.sum(dim=1)
    words = n_words.clamp(min=1.0)
    token_entropy = (entropy(log_probs) * mask).sum(dim=1)
    top = log_probs.topk(2, dim=-1).values
    best = top[..., 0] * mask
    gap = (top[..., 0].exp() - top[..., 1].exp()) * mask
    probs = log_probs.exp()
    ending = (probs[..., 3::4].sum(dim=-1) + probs[..., 4::4].sum(dim=-1)) * mask
    expected = ending.sum(dim=1).square() - ending.square().sum(dim=1)
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
