"""Training as a function, without a database: from tagged sentences to a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from annotator.domain import LabelSchema, TaggedSentence
from annotator.errors import ConfigError, TrainingError
from annotator.model.calibration import Calibration
from annotator.model.checkpoint import save_checkpoint, weights_sha256
from annotator.model.config import ModelConfig
from annotator.model.encoder import load_encoder
from annotator.model.joint import JointModel
from annotator.training.neighbours import learn_never_adjacent
from annotator.training.reliability import choose_calibration
from annotator.training.replica import Replica
from annotator.training.run import Run, TrainingData, TrainingProgress
from annotator.training.settings import TrainingSettings
from annotator.training.state import drop_state, fingerprint
from annotator.training.warm_start import WarmStart, shrink_and_perturb

__all__ = ["TrainingResult", "train"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """The result of a run.

    Attributes:
        folder: The checkpoint.
        weights_sha256: SHA-256 of its weights.
        n_sentences: Sentences trained on.
        loss: Smoothed loss at the end.
        train_s: Seconds spent in steps.
        words_per_s: Words per second in steps.
        resumed_from: Step from which an interrupted run resumed; 0 for a fresh one.
        calibration: Temperatures, fitted if ``dev`` was given and shows that they help.
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
    replica: Replica | None = None,
    start: WarmStart | None = None,
) -> TrainingResult:
    """Train a joint model and write its checkpoint to ``folder``.

    The state is saved beside ``folder`` at intervals. A killed run that is called again with the
    same arguments resumes from there and, on a CPU, ends with the same weights as an unbroken one.
    Global random state is left unchanged.

    Args:
        sentences: What to train on; sentences without words are skipped.
        schema: Entity and relation types of the model.
        encoder: ``minilm``, a local folder, or a hub id.
        settings: Hyper-parameters.
        folder: Where the checkpoint is written; an older one is replaced.
        dev: Held-out sentences, on which the temperatures are fitted and judged.
        device: Where to compute.
        on_progress: Called after each step; what it raises stops the run.
        options: Other fields of ``ModelConfig``.
        replica: This process among several that train together; the first one writes.
        start: An older model to start from; None starts from the pre-trained encoder.

    Raises:
        TrainingError: if there is nothing to train on, or the loss is not finite.
        CheckpointError: if the model to start from cannot be read.
        ConfigError: if schema or options do not fit a model.
        ModelError: if the encoder cannot be loaded.
    """
    present = _with_words(sentences)
    separate = learn_never_adjacent(present, schema)
    config = _configure(schema, encoder, {"never_adjacent": separate, **(options or {})})
    device, folder = torch.device(device), Path(folder)
    digest = _digest(present, dev, config, settings, device=device, start=start)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        model = _begin(config, settings, device=device, start=start)
        data = TrainingData.encode(present, model)
        run = Run(model, data, settings, folder=folder, digest=digest, replica=replica)
        _finish(run, dev, on_progress)
    return _write(run, folder)


def _with_words(sentences: Sequence[TaggedSentence]) -> list[TaggedSentence]:
    present = [sentence for sentence in sentences if sentence.words]
    if not present:
        raise TrainingError(
            "there is no sentence to train on: label and submit at least one, or import gold data"
        )
    return present


def _configure(schema: LabelSchema, encoder: str, options: Mapping[str, Any]) -> ModelConfig:
    try:
        return ModelConfig(schema=schema, encoder=encoder, **options)
    except TypeError as error:
        raise ConfigError(f"unknown model option among {', '.join(sorted(options))}") from error


def _digest(
    sentences: Sequence[TaggedSentence],
    dev: Sequence[TaggedSentence],
    config: ModelConfig,
    settings: TrainingSettings,
    *,
    device: torch.device,
    start: WarmStart | None,
) -> str:
    """Return a fingerprint of everything the weights depend on."""
    # How often the state is saved changes no weight.
    chosen = {k: v for k, v in settings.to_json().items() if k != "save_every_s"}
    arguments: list[Any] = [config.to_json(), chosen, device.type]
    if start is not None:
        arguments.append(start.fingerprint())
    return fingerprint(sentences, dev, arguments=arguments)


def _begin(
    config: ModelConfig,
    settings: TrainingSettings,
    *,
    device: torch.device,
    start: WarmStart | None,
) -> JointModel:
    """Build the model in its state before the first step, from the seed of the run."""
    torch.manual_seed(settings.seed)
    model = JointModel(load_encoder(config.encoder), config).to(device)
    if start is not None:
        shrink_and_perturb(model, start)
    return model


def _finish(
    run: Run,
    dev: Sequence[TaggedSentence],
    on_progress: Callable[[TrainingProgress], None] | None,
) -> None:
    if run.replica.rank:
        torch.manual_seed(run.settings.seed + run.replica.rank)  # other dropout in each process
    run.finish(on_progress)
    run.model.calibration = choose_calibration(run.model, dev)


def _write(run: Run, folder: Path) -> TrainingResult:
    """Write the checkpoint in the first process; all processes return once it exists."""
    if run.replica.rank == 0:
        save_checkpoint(run.model, folder)
        drop_state(folder)
    run.replica.wait()
    return TrainingResult(
        folder=folder,
        weights_sha256=weights_sha256(folder),
        n_sentences=len(run.data.ids),
        n_epochs=len(run.schedule.epoch_steps),
        n_steps=run.position.step,
        loss=run.position.loss,
        train_s=run.position.elapsed_s,
        words_per_s=run.words_per_s,
        resumed_from=run.resumed_from,
        calibration=run.model.calibration,
        left_out=run.data.left_out,
    )
