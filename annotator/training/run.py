"""A model during training: its batches, its steps, and the position from which it can resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from annotator.domain import TaggedSentence
from annotator.errors import TrainingError
from annotator.model.batch import Batch, GoldEncoder, GoldLabels, collate
from annotator.model.device import computes_bf16
from annotator.model.joint import JointModel, Losses
from annotator.model.memory import free_memory, is_out_of_memory, peak_memory_mb
from annotator.model.pieces import PieceSentence
from annotator.training.optimizer import WeightAverage, build_optimizer
from annotator.training.replica import Replica
from annotator.training.schedule import Schedule, plan_epoch, plan_schedule
from annotator.training.settings import TrainingSettings
from annotator.training.state import (
    Position,
    RunState,
    load_state,
    restore_rng,
    rng_states,
    save_state,
)

__all__ = ["Run", "TrainingData", "TrainingProgress"]

T = TypeVar("T")

_SMOOTHING = 0.95
_LOAD_TRIES = 60
_LOAD_PAUSE_S = 1.0
_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """State of a run after a step. ``epoch`` and ``step`` count from 1.

    ``resumed_from`` is the step from which an interrupted run resumed, 0 for a fresh one;
    ``n_micro`` is the number of micro-batches per step; ``memory_mb`` is the peak memory.
    """

    epoch: int
    n_epochs: int
    step: int
    n_steps: int
    loss: float
    words_per_s: float
    remaining_s: float
    resumed_from: int = 0
    n_micro: int = 1
    memory_mb: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Sentences in word pieces and class numbers, in one order.

    ``left_out`` counts the labels that the model cannot be trained on.
    """

    ids: tuple[str, ...]
    pieces: list[PieceSentence]
    gold: list[GoldLabels]
    left_out: Mapping[str, int]

    @classmethod
    def encode(cls, sentences: Sequence[TaggedSentence], model: JointModel) -> TrainingData:
        """Tokenise ``sentences`` and number their labels for ``model``."""
        encoder = GoldEncoder(model.config)
        return cls(
            ids=tuple(sentence.id for sentence in sentences),
            pieces=model.pieces.encode([sentence.words for sentence in sentences]),
            gold=[encoder.encode(sentence) for sentence in sentences],
            left_out=encoder.left_out,
        )

    @property
    def costs(self) -> NDArray[np.int64]:
        """Pieces that the encoder reads for each sentence. Shape ``(sentences,)``."""
        return np.array([sentence.cost for sentence in self.pieces], dtype=np.int64)

    def n_words(self, chosen: Sequence[int]) -> int:
        """Count the words of some sentences."""
        return sum(self.pieces[i].n_words for i in chosen)

    def batch(self, chosen: Sequence[int], model: JointModel) -> Batch:
        """Put some sentences and their labels into one batch on the model's device."""
        gold = [self.gold[i] for i in chosen]
        return collate([self.pieces[i] for i in chosen], model.pieces, gold=gold).to(model.device)


class Run:
    """A model in training, at a position that can be saved and restored.

    The model is put into training mode. The state is kept beside ``folder``, where the checkpoint
    will be written. ``digest`` is a fingerprint of everything the weights depend on; a state with a
    different one is ignored.
    """

    def __init__(
        self,
        model: JointModel,
        data: TrainingData,
        settings: TrainingSettings,
        *,
        folder: Path,
        digest: str,
        replica: Replica | None = None,
    ) -> None:
        self.model = model.train()
        self.data = data
        self.settings = settings
        self.schedule: Schedule = plan_schedule(data.costs, settings)
        self.optimizer = build_optimizer(model, settings)
        self.average = WeightAverage(model, decay=settings.ema) if settings.ema else None
        self._folder, self._digest = folder, digest
        self.replica = replica or Replica()
        kind = model.device.type
        precision = settings.precision
        if precision == "auto":
            precision = "bf16" if computes_bf16(model.device) else "fp32"
        self._dtype = _DTYPES[precision]
        # Gradients that fp16 cannot hold are scaled up before and down after (Micikevicius 2018).
        self.scaler = torch.amp.GradScaler(kind, enabled=precision == "fp16")
        self.position = self._load()
        self.resumed_from = self.position.step
        self.n_micro = max(settings.accumulation, self.position.n_micro)

    @property
    def _state(self) -> RunState:
        means = () if self.average is None else self.average.values
        return RunState(
            model=self.model, optimizer=self.optimizer, scaler=self.scaler, average=means
        )

    def _load(self) -> Position:
        """Resume from the saved state; all processes must find the same one.

        A network file system may show one machine an older file than another has written.
        """
        for _ in range(_LOAD_TRIES):
            position = load_state(self._folder, self._state, digest=self._digest)
            step = torch.tensor([position.step], dtype=torch.float64, device=self.replica.device)
            sums = self.replica.sum(torch.cat([step, step.square()]))  # (2,)
            total, squares = sums.tolist()
            if self.replica.n * squares == total * total:
                return position
            time.sleep(_LOAD_PAUSE_S)
        raise TrainingError(
            f"the processes of this run find different states in {self._folder.parent}: it must be "
            "on storage that all machines share under one path"
        )

    @property
    def words_per_s(self) -> float:
        """Words per second so far."""
        return self.position.n_words / max(self.position.elapsed_s, 1e-9)

    def finish(self, on_progress: Callable[[TrainingProgress], None] | None) -> None:
        """Take all remaining steps."""
        saved_at = time.monotonic()
        done = 0
        for epoch, n_steps in enumerate(self.schedule.epoch_steps):
            if done + n_steps > self.position.step:
                batches = plan_epoch(self.data.costs, self.settings, epoch=epoch)
                for chosen in batches[max(0, self.position.step - done) :]:
                    loss = self.step(chosen)
                    if time.monotonic() - saved_at >= self.settings.save_every_s:
                        self._save()
                        saved_at = time.monotonic()
                    if on_progress is not None:
                        on_progress(self._progress(epoch, loss))
            done += n_steps
        if self.average is not None:
            self.average.apply()

    def _save(self) -> None:
        if self.replica.rank == 0:
            save_state(self._folder, self._state, position=self.position, digest=self._digest)

    def step(self, chosen: NDArray[np.int64]) -> float:
        """Train on one batch, given as indices of sentences, and return its loss."""
        started = time.monotonic()
        ids: list[int] = chosen.tolist()
        loss = self._learn(ids)
        before = self.position
        smoothed = (
            loss if not before.step else before.loss + (1 - _SMOOTHING) * (loss - before.loss)
        )
        self.position = Position(
            step=before.step + 1,
            loss=smoothed,
            elapsed_s=before.elapsed_s + time.monotonic() - started,
            n_words=before.n_words + self.data.n_words(ids),
            n_micro=self.n_micro,
        )
        return loss

    def _learn(self, chosen: list[int]) -> float:
        """Take one optimiser step; micro-batch ``k`` is every ``n_micro``-th sentence.

        If memory runs out, the step restarts with twice as many micro-batches, and later steps keep
        that number. Batch, random numbers and weights are those of a run with that number from the
        start.
        """
        factor = self.schedule.rate_factor(self.position.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        loss = self._gradients(chosen)
        while loss is None:
            loss = self._gradients(chosen)
        self.replica.sum_gradients(self.model)
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        if not self.scaler.is_enabled() and not math.isfinite(float(norm)):
            raise self._diverged("the norm of the gradient", float(norm), chosen)
        self.scaler.step(self.optimizer)  # skips steps with overflowing gradients
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.position.step + 1)
        return loss

    def _gradients(self, chosen: list[int]) -> float | None:
        """Add up the gradients of a batch and return its loss; None if memory ran out.

        Raises:
            TrainingError: if memory runs out for a single sentence.
        """
        rng = rng_states(self.model.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss = 0.0
        for k in range(min(self.n_micro, len(chosen))):
            micro = chosen[k :: self.n_micro]
            weight = self.data.n_words(micro) / max(1, self.data.n_words(chosen))
            part = self._backward(micro, weight=weight)
            if part is None:
                break
            loss += part
        else:
            return loss
        if self.n_micro >= len(chosen):
            raise TrainingError(
                f"the memory of {self.model.device} does not suffice for a single sentence, in "
                f"step {self.position.step + 1}: lower max_pieces, raise gpu_memory_share, stop "
                "what else runs there, or train on another device"
            )
        self.n_micro = min(2 * self.n_micro, len(chosen))
        self.optimizer.zero_grad(set_to_none=True)
        free_memory(self.model.device)
        restore_rng(rng, self.model.device)
        return None

    def _backward(self, micro: list[int], *, weight: float) -> float | None:
        """Add the gradient of a micro-batch's loss times ``weight``, and return that product.

        The means over words and over pairs are those of the whole micro-batch, whichever process
        holds the sentences. Returns None if memory ran out in any process: all are told, so that
        none waits for one that gave up.
        """
        losses, failed = self._try(lambda: self._losses(self.replica.share(micro)))
        if self._any(failed):
            return None
        total = self._share_of(losses)
        loss = weight * float(self.replica.sum(total.detach()))
        if not math.isfinite(loss):
            raise self._diverged("the loss", loss, micro)
        if total.requires_grad:
            scaled = self.scaler.scale(weight * total)
            _, failed = self._try(lambda: scaled.backward())  # type: ignore[no-untyped-call]
        return None if self._any(failed) else loss

    def _try(self, compute: Callable[[], T]) -> tuple[T | None, bool]:
        """Return the result of ``compute``, and whether memory ran out instead."""
        try:
            return compute(), False
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        return None, True

    def _any(self, failed: bool) -> bool:
        """Return whether any process failed."""
        if self.replica.n == 1:
            return failed
        flag = torch.tensor([float(failed)], device=self.model.device)
        return float(self.replica.sum(flag)) > 0

    def _losses(self, mine: list[int]) -> Losses | None:
        """Return the losses of the sentences of this process; None if it has none of them."""
        if not mine:
            return None
        batch = self.data.batch(mine, self.model)
        if self.settings.word_dropout:
            mask_id = self.model.pieces.mask_id
            batch = batch.hide_words(self.settings.word_dropout, mask_id=mask_id)
        ramp = self.schedule.relation_weight(self.position.step)
        output = self.model(batch, relations=ramp > 0.0, dtype=self._dtype)
        return self.model.losses(output, batch, relation_weight=ramp)

    def _share_of(self, losses: Losses | None) -> Tensor:
        """Return this process's part of the loss of a micro-batch."""
        if losses is not None and self.replica.n == 1:
            return losses.total
        counts = self.model.ner.output.weight.new_zeros(2)
        if losses is None:
            self.replica.sum(counts)
            return counts.sum()
        counts = counts.new_tensor([losses.n_words, losses.n_pairs])
        shares = counts / self.replica.sum(counts.clone()).clamp(min=1.0)  # (2,)
        ner, relation = shares.unbind()
        ramp = self.schedule.relation_weight(self.position.step)
        total: Tensor = ner * losses.ner + ramp * relation * losses.relation
        return total

    def _diverged(self, what: str, value: float, chosen: list[int]) -> TrainingError:
        ids = ", ".join(self.data.ids[i] for i in chosen)
        return TrainingError(
            f"{what} is {value} in step {self.position.step + 1}, at sentences {ids}: "
            "lower encoder_lr and head_lr, or use precision fp32"
        )

    def _progress(self, epoch: int, loss: float) -> TrainingProgress:
        n_left = self.schedule.n_steps - self.position.step
        return TrainingProgress(
            epoch=epoch + 1,
            n_epochs=len(self.schedule.epoch_steps),
            step=self.position.step,
            n_steps=self.schedule.n_steps,
            loss=loss,
            words_per_s=self.words_per_s,
            remaining_s=n_left * self.position.elapsed_s / self.position.step,
            resumed_from=self.resumed_from,
            n_micro=self.n_micro,
            memory_mb=peak_memory_mb(self.model.device),
        )
