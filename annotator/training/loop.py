"""One training run: from tagged sentences to a checkpoint, resumable at any time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import ConfigError, TrainingError
from annotator.model.batch import Batch, collate
from annotator.model.calibration import Calibration
from annotator.model.checkpoint import checkpoint_sha256, save_checkpoint
from annotator.model.config import ModelConfig
from annotator.model.encoder import load_encoder
from annotator.model.gold import GoldEncoder, GoldLabels
from annotator.model.joint import JointModel
from annotator.model.pieces import PieceSentence
from annotator.training.calibrate import fit_calibration
from annotator.training.schedule import Schedule, plan_epoch, plan_schedule
from annotator.training.settings import TrainingSettings
from annotator.training.state import (
    Position,
    drop_state,
    fingerprint,
    load_state,
    save_state,
)

__all__ = ["TrainingProgress", "TrainingResult", "train"]

_SMOOTHING = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """Where a run is after a step. ``epoch`` and ``step`` count from 1."""

    epoch: int
    n_epochs: int
    step: int
    n_steps: int
    loss: float
    words_per_s: float
    remaining_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a run left.

    Attributes:
        folder: The checkpoint.
        weights_sha256: SHA-256 of its weights.
        n_sentences: Sentences trained on.
        n_epochs: Passes over them.
        n_steps: Optimiser steps.
        loss: Loss at the end, smoothed.
        train_s: Seconds spent in steps.
        words_per_s: Words a second in them.
        resumed_from: Step from which an interrupted run went on; 0 for a fresh one.
        calibration: Temperatures, fitted if ``dev`` was given.
        left_out: Labels the model cannot be trained on, and how many of each.
    """

    folder: Path
    weights_sha256: str
    n_sentences: int
    n_epochs: int
    n_steps: int
    loss: float
    train_s: float
    words_per_s: float
    resumed_from: int
    calibration: Calibration
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Data:
    ids: tuple[str, ...]
    pieces: list[PieceSentence]
    gold: list[GoldLabels]
    left_out: Mapping[str, int]

    @property
    def costs(self) -> NDArray[np.int64]:
        return np.array([sentence.cost for sentence in self.pieces], dtype=np.int64)


def train(
    sentences: Sequence[TaggedSentence],
    *,
    schema: LabelSchema,
    encoder: str,
    settings: TrainingSettings,
    folder: Path,
    dev: Sequence[TaggedSentence] = (),
    device: str | torch.device = "cpu",
    on_progress: Callable[[TrainingProgress], None] | None = None,
    options: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a joint model and write its checkpoint to ``folder``.

    The state is saved beside ``folder`` now and then. A run that was killed goes on from there
    when it is called again with the same arguments, and on a CPU ends with the same weights as an
    unbroken one. Global random state is left as it was.

    Args:
        sentences: What to train on; sentences without words are passed over.
        schema: Entity and relation types of the model.
        encoder: ``minilm``, a local folder, or a hub id.
        settings: Lengths, rates, seed.
        folder: Where the checkpoint goes; an older one is replaced.
        dev: Held-out sentences, on which the temperatures are fitted.
        device: Where to compute.
        on_progress: Called after each step; what it raises stops the run.
        options: Other fields of ``ModelConfig``.

    Raises:
        TrainingError: if there is nothing to train on, or the loss is not finite.
        ConfigError: if schema or options are not fit for a model.
        ModelError: if the encoder cannot be loaded.
    """
    present = [sentence for sentence in sentences if sentence.words]
    if not present:
        raise TrainingError(
            "there is no sentence to train on: label and submit at least one, or import gold data"
        )
    config = _configure(schema, encoder, options or {})
    device = torch.device(device)
    arguments = [config.to_json(), settings.to_json(), device.type]
    digest = fingerprint(present, dev, arguments=arguments)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings.seed)
        model = JointModel(load_encoder(encoder), config).to(device)
        data = _prepare(model, present)
        run = _Run(model, data, settings, folder=Path(folder), digest=digest)
        resumed_from = run.position.step
        run.finish(on_progress)
        model.calibration = fit_calibration(model, dev)
    save_checkpoint(model, Path(folder))
    drop_state(Path(folder))
    return TrainingResult(
        folder=Path(folder),
        weights_sha256=checkpoint_sha256(Path(folder)),
        n_sentences=len(present),
        n_epochs=len(run.schedule.epoch_steps),
        n_steps=run.position.step,
        loss=run.position.loss,
        train_s=run.position.elapsed_s,
        words_per_s=run.words_per_s,
        resumed_from=resumed_from,
        calibration=model.calibration,
        left_out=data.left_out,
    )


def _configure(schema: LabelSchema, encoder: str, options: Mapping[str, Any]) -> ModelConfig:
    try:
        return ModelConfig(schema=schema, encoder=encoder, **options)
    except TypeError as error:
        raise ConfigError(f"unknown model option among {', '.join(sorted(options))}") from error


def _prepare(model: JointModel, sentences: Sequence[TaggedSentence]) -> _Data:
    encoder = GoldEncoder(model.config)
    return _Data(
        ids=tuple(sentence.id for sentence in sentences),
        pieces=model.pieces.encode([sentence.words for sentence in sentences]),
        gold=[encoder.encode(sentence) for sentence in sentences],
        left_out=encoder.left_out,
    )


def _optimizer(model: JointModel, settings: TrainingSettings) -> torch.optim.AdamW:
    """Build AdamW with four groups: encoder or heads, decayed (matrices) or not."""
    rates = {True: settings.encoder_rate(model.encoder_parts.width), False: settings.head_lr}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        key = (name.startswith("encoder."), parameter.ndim >= 2)
        groups.setdefault(key, []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rates[is_encoder],
                "peak_lr": rates[is_encoder],
                "weight_decay": settings.weight_decay if is_matrix else 0.0,
            }
            for (is_encoder, is_matrix), parameters in groups.items()
        ],
        fused=model.device.type in ("cpu", "cuda"),
    )


class _Run:
    """A model in training, at a position that can be saved and restored."""

    def __init__(
        self,
        model: JointModel,
        data: _Data,
        settings: TrainingSettings,
        *,
        folder: Path,
        digest: str,
    ) -> None:
        self.model = model.train()
        self.data = data
        self.settings = settings
        self.schedule: Schedule = plan_schedule(data.costs, settings)
        self.optimizer = _optimizer(model, settings)
        self._folder, self._digest = folder, digest
        on_gpu = model.device.type == "cuda"
        reduced = settings.precision == "bf16" or (settings.precision == "auto" and on_gpu)
        self._dtype = torch.bfloat16 if reduced else None
        self.position = load_state(
            folder, model=self.model, optimizer=self.optimizer, digest=digest
        )

    @property
    def words_per_s(self) -> float:
        """Words a second so far."""
        return self.position.n_words / max(self.position.elapsed_s, 1e-9)

    def finish(self, on_progress: Callable[[TrainingProgress], None] | None) -> None:
        """Take all steps that are left."""
        saved_at = time.monotonic()
        done = 0
        for epoch, n_steps in enumerate(self.schedule.epoch_steps):
            if done + n_steps > self.position.step:
                batches = plan_epoch(self.data.costs, self.settings, epoch=epoch)
                for chosen in batches[max(0, self.position.step - done) :]:
                    loss = self._step(chosen)
                    if time.monotonic() - saved_at >= self.settings.save_every_s:
                        self._save()
                        saved_at = time.monotonic()
                    if on_progress is not None:
                        on_progress(self._progress(epoch, loss))
            done += n_steps

    def _save(self) -> None:
        save_state(
            self._folder,
            model=self.model,
            optimizer=self.optimizer,
            position=self.position,
            digest=self._digest,
        )

    def _step(self, chosen: NDArray[np.int64]) -> float:
        started = time.monotonic()
        pieces = [self.data.pieces[i] for i in chosen]
        batch = collate(pieces, self.model.pieces, gold=[self.data.gold[i] for i in chosen])
        loss = self._learn(batch.to(self.model.device), chosen)
        before = self.position
        smoothed = (
            loss if not before.step else before.loss + (1 - _SMOOTHING) * (loss - before.loss)
        )
        self.position = Position(
            step=before.step + 1,
            loss=smoothed,
            elapsed_s=before.elapsed_s + time.monotonic() - started,
            n_words=before.n_words + sum(sentence.n_words for sentence in pieces),
        )
        return loss

    def _learn(self, batch: Batch, chosen: NDArray[np.int64]) -> float:
        step = self.position.step
        weight = self.schedule.relation_weight(step)
        factor = self.schedule.rate_factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        output = self.model(batch, relations=weight > 0.0, dtype=self._dtype)
        total = self.model.losses(output, batch, relation_weight=weight).total
        loss = float(total.detach())
        if not math.isfinite(loss):
            ids = ", ".join(self.data.ids[i] for i in chosen)
            raise TrainingError(
                f"the loss is {loss} in step {step + 1}, at sentences {ids}: "
                "lower encoder_lr and head_lr, or use precision fp32"
            )
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        return loss

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
        )
