"""Which sentences form each step, and the weights and rates of each step. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.model.batch import cut_batches
from annotator.training.settings import TrainingSettings

__all__ = ["Schedule", "plan_epoch", "plan_schedule"]

_LENGTH_NOISE = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The steps of a run, known before the first of them.

    Attributes:
        epoch_steps: Number of steps of each epoch.
        n_warmup: Steps in which the learning rates rise.
        n_ramp: Steps in which the weight of the relation loss rises; 0 for no ramp.
    """

    epoch_steps: tuple[int, ...]
    n_warmup: int
    n_ramp: int

    @property
    def n_steps(self) -> int:
        """Number of steps of the run."""
        return sum(self.epoch_steps)

    def rate_factor(self, step: int) -> float:
        """Return the factor on the peak learning rates in ``step`` (from 0)."""
        if step < self.n_warmup:
            return (step + 1) / self.n_warmup
        return (self.n_steps - step) / max(1, self.n_steps - self.n_warmup)

    def relation_weight(self, step: int) -> float:
        """Return λ in ``step``: linear from 0 to 1 over the ramp, then 1."""
        return 1.0 if step >= self.n_ramp else step / self.n_ramp


def plan_epoch(
    costs: NDArray[np.int64],
    settings: TrainingSettings,
    *,
    epoch: int,
    blur: float = _LENGTH_NOISE,
) -> list[NDArray[np.int64]]:
    """Cut one epoch into batches of similar length, in an order determined by seed and epoch.

    Random noise is added to lengths before sorting, so that batches differ between epochs.

    Args:
        costs: Word pieces of each sentence. Shape ``(sentences,)``.
        settings: Batch size, budget and seed.
        epoch: Number of the epoch, from 0.
        blur: Amount of noise; more noise means more padding.
    """
    rng = np.random.default_rng([settings.seed, epoch])
    noise = rng.uniform(-blur, blur, size=len(costs))
    order = np.argsort(costs * np.exp(noise), kind="stable").astype(np.int64)
    batches = cut_batches(
        order, costs, token_budget=settings.max_batch_pieces, batch_size=settings.batch_size
    )
    return [batches[i] for i in rng.permutation(len(batches))]


def plan_schedule(costs: NDArray[np.int64], settings: TrainingSettings) -> Schedule:
    """Compute the number of epochs and steps of a run."""
    first = len(plan_epoch(costs, settings, epoch=0))
    n_epochs = max(settings.epochs, math.ceil(settings.min_steps / first))
    steps = tuple(len(plan_epoch(costs, settings, epoch=i)) for i in range(n_epochs))
    # Where min_steps stretched the run, the first 1/epochs of it stands for the first epoch.
    ramp = max(first, sum(steps) // settings.epochs) if settings.entity_pretraining else 0
    return Schedule(
        epoch_steps=steps, n_warmup=max(1, round(settings.warmup * sum(steps))), n_ramp=ramp
    )
