"""How fast a model is trained, against the bare encoder forwards and backwards."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from annotator.bench.clock import Report, median_ratio, wait_for
from annotator.domain import LabelSchema, TaggedSentence
from annotator.model import load_encoder
from annotator.model.batch import Batch, collate
from annotator.model.pieces import PieceTokenizer
from annotator.training import TrainingProgress, TrainingSettings, train
from annotator.training.schedule import plan_epoch

__all__ = ["LearningBench", "bench_learning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningBench:
    """Figures of training.

    Attributes:
        vs_encoder: Words per second of training over those of the bare encoder.
        words_per_s: Of ``training`` and ``encoder``.
        n_steps: Timed steps per round.
    """

    vs_encoder: float
    words_per_s: dict[str, float]
    n_steps: int


class _StepClock:
    """Times the steps of a run from the outside, without the first ones."""

    def __init__(self, n_untimed: int, device: torch.device) -> None:
        self._n_untimed, self._device = n_untimed, device
        self._started = 0.0
        self.seconds = 0.0

    def __call__(self, progress: TrainingProgress) -> None:
        if progress.step == self._n_untimed:
            wait_for(self._device)
            self._started = time.perf_counter()
        elif progress.step == progress.n_steps:
            wait_for(self._device)
            self.seconds = time.perf_counter() - self._started


def bench_learning(
    sentences: Sequence[TaggedSentence],
    *,
    schema: LabelSchema,
    encoder: str,
    device: torch.device,
    n_rounds: int,
    report: Report,
) -> LearningBench:
    """Time one epoch of ``train`` and the bare encoder on the same batches, in turn.

    A step of training is collating, forward pass, both losses, backward pass, clipping and AdamW;
    relations are learnt from the first step on. The bare encoder goes forwards and backwards from a
    trivial loss on its states. Both are in training mode and in one dtype, and the first quarter of
    the epoch warms up.
    """
    reduced = device.type == "cuda"
    settings = TrainingSettings(
        epochs=1,
        min_steps=0,
        entity_pretraining=False,
        precision="bf16" if reduced else "fp32",
        save_every_s=86_400.0,
    )
    bare = _BareEncoder(sentences, encoder=encoder, settings=settings, device=device)
    times: dict[str, list[float]] = {"training": [], "encoder": []}
    with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
        for i in range(n_rounds):
            clock = _StepClock(bare.n_untimed, device)
            train(
                sentences,
                schema=schema,
                encoder=encoder,
                settings=settings,
                folder=Path(folder) / "model",
                device=device,
                on_progress=clock,
            )
            times["training"].append(clock.seconds)
            times["encoder"].append(bare.run())
            report("train", i + 1, n_rounds)
    return LearningBench(
        vs_encoder=median_ratio(times["encoder"], times["training"]),
        words_per_s={
            name: bare.n_words / statistics.median(seconds) for name, seconds in times.items()
        },
        n_steps=bare.n_steps,
    )


class _BareEncoder:
    """The encoder alone, with the batches of the training run."""

    def __init__(
        self,
        sentences: Sequence[TaggedSentence],
        *,
        encoder: str,
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        loaded = load_encoder(encoder)
        tokenizer = PieceTokenizer(loaded)
        pieces = tokenizer.encode([s.words for s in sentences])
        costs = np.array([p.cost for p in pieces], dtype=np.int64)
        chosen = plan_epoch(costs, settings, epoch=0)
        self._network = loaded.network.to(device).train()
        self._device = device
        self._dtype = torch.bfloat16 if settings.precision == "bf16" else None
        self._batches = [collate([pieces[i] for i in c], tokenizer).to(device) for c in chosen]
        self.n_untimed = max(1, len(chosen) // 4)
        self.n_steps = len(chosen) - self.n_untimed
        self.n_words = sum(pieces[i].n_words for c in chosen[self.n_untimed :] for i in c)

    def run(self) -> float:
        """Go through all batches once; return the seconds of the timed ones."""
        for batch in self._batches[: self.n_untimed]:
            self._step(batch)
        wait_for(self._device)
        started = time.perf_counter()
        for batch in self._batches[self.n_untimed :]:
            self._step(batch)
        wait_for(self._device)
        return time.perf_counter() - started

    def _step(self, batch: Batch) -> None:
        self._network.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=self._dtype is not None):
            states = self._network(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask
            ).last_hidden_state
        states.float().square().mean().backward()
