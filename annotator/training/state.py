"""The state from which a killed run resumes: one safetensors file, replaced atomically."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from annotator.domain import TaggedSentence
from annotator.errors import TrainingError

__all__ = [
    "Position",
    "RunState",
    "drop_state",
    "fingerprint",
    "load_state",
    "restore_rng",
    "rng_states",
    "save_state",
    "state_path",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Progress of a run.

    Attributes:
        step: Steps done.
        loss: Smoothed loss.
        elapsed_s: Seconds spent in steps, over all processes that took part.
        n_words: Words seen in those steps.
        n_micro: Micro-batches that the last step was cut into.
    """

    step: int = 0
    loss: float = 0.0
    elapsed_s: float = 0.0
    n_words: int = 0
    n_micro: int = 1


def fingerprint(
    sentences: Sequence[TaggedSentence], dev: Sequence[TaggedSentence], *, arguments: object
) -> str:
    """Return a SHA-256 of everything the weights depend on."""
    digest = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode())
    for part in (sentences, dev):
        for sentence in part:
            entities = [(e.type, e.first, e.last) for e in sentence.entities]
            relations = [(r.type, r.head, r.tail) for r in sentence.relations]
            digest.update(json.dumps([sentence.words, entities, relations]).encode())
        digest.update(b"\n")
    return digest.hexdigest()


def state_path(folder: Path) -> Path:
    """Return the path of the state of the run that writes ``folder``."""
    return folder.with_name(f"{folder.name}.partial")


def rng_states(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's generators that a step on ``device`` draws from."""
    states = {"rng.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["rng.cuda"] = torch.cuda.get_rng_state(device)
    return states


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """Everything that changes from step to step.

    Attributes:
        scaler: The scale of fp16 gradients; None without scaling.
        average: Moving averages of the weights; empty if none are kept.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler | None = None
    average: Sequence[Tensor] = ()


def save_state(folder: Path, state: RunState, *, position: Position, digest: str) -> None:
    """Write weights, optimiser, generators and position, flushed to disk, over an older state.

    Raises:
        TrainingError: if the file cannot be written.
    """
    weights = {f"model.{name}": value.cpu() for name, value in state.model.state_dict().items()}
    moments = {
        f"optimizer.{i}.{key}": value.cpu()
        for i, entry in state.optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }
    means = {f"average.{i}": value.cpu() for i, value in enumerate(state.average)}
    device = next(state.model.parameters()).device
    tensors = {**weights, **moments, **means, **rng_states(device)}
    path = state_path(folder)
    # A folder, since safetensors writes a temporary file beside its target: whoever cleans up after
    # a kill then removes both.
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    written = aside / path.name
    try:
        aside.mkdir(parents=True)
        metadata = {
            "digest": digest,
            "position": json.dumps(asdict(position)),
            "scaler": json.dumps(state.scaler.state_dict() if state.scaler else {}),
        }
        save_file({k: v.contiguous() for k, v in tensors.items()}, written, metadata=metadata)
        with written.open("rb") as file:
            os.fsync(file.fileno())
        written.replace(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"the state of the run cannot be written to {path.name} ({type(error).__name__}): "
            "check that the disk has room and the folder may be written"
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load_state(folder: Path, state: RunState, *, digest: str) -> Position:
    """Restore the state of an interrupted run with the same ``digest``.

    A damaged state, or one of other data or settings, is ignored: the run starts from step 0.
    """
    path = state_path(folder)
    if not path.is_file():
        return Position()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("digest") != digest:
                return Position()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError:
        return Position()
    position = Position(**json.loads(metadata["position"]))
    _restore(tensors, state)
    if state.scaler is not None:
        state.scaler.load_state_dict(json.loads(metadata["scaler"]))
    return position


def _restore(tensors: dict[str, Tensor], run: RunState) -> None:
    weights = {k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")}
    run.model.load_state_dict(weights)
    for n, mean in enumerate(run.average):
        mean.copy_(tensors[f"average.{n}"])
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, i, key = name.split(".", 2)
            state.setdefault(int(i), {})[key] = value
    run.optimizer.load_state_dict({**run.optimizer.state_dict(), "state": state})
    restore_rng(tensors, next(run.model.parameters()).device)


def restore_rng(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Restore what ``rng_states`` returned."""
    torch.set_rng_state(states["rng.cpu"])
    if device.type == "cuda" and "rng.cuda" in states:
        torch.cuda.set_rng_state(states["rng.cuda"], device)


def drop_state(folder: Path) -> None:
    """Remove the state of a finished run, and temporary files of it that a killed process left."""
    path = state_path(folder)
    path.unlink(missing_ok=True)
    for aside in path.parent.glob(f".{glob.escape(path.name)}.*"):
        shutil.rmtree(aside, ignore_errors=True)
