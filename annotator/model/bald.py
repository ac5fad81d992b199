"""BALD with dropout in the heads alone: the encoder runs once, the heads several times.

Houlsby et al. 2011 (arXiv 1112.5745); Gal et al. 2017 (arXiv 1703.02910); for taggers with the
last layer alone, Shelmanov et al. 2021 (arXiv 2101.08133).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from annotator.model.candidates import CandidateSet
from annotator.model.joint import JointModel
from annotator.model.signals import entropy

__all__ = ["head_disagreement"]

_SEED = 7  # the same scores for the same model, batch by batch


def head_disagreement(
    model: JointModel,
    states: Tensor,
    candidates: CandidateSet,
    *,
    word_mask: Tensor,
    n_passes: int,
) -> Tensor:
    """Return the mutual information of labels and dropout masks, over words, in nats.

    The sum over tags and candidate pairs is divided by the number of words. Which units are
    dropped is decided afresh for each batch, so that a score depends a little on the batch.

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
    total = (tags.result() * word_mask).sum(dim=1)
    if pair_mask is not None:
        total = total + (pairs.result() * pair_mask).sum(dim=(1, 2))
    return total / word_mask.sum(dim=1).clamp(min=1)


class _Disagreement:
    """Adds up passes: the entropy of the mean minus the mean of the entropies."""

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
    """Drop units in the heads for a while, from a seed of our own; the global state is kept."""
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
