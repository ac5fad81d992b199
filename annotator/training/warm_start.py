"""Starting a run from the weights of an older model instead of only the pre-trained encoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from annotator.errors import ConfigError, TrainingError
from annotator.model.checkpoint import load_checkpoint, weights_sha256
from annotator.model.joint import JointModel

__all__ = ["WarmStart", "shrink_and_perturb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStart:
    """The model to start from.

    Attributes:
        folder: Its checkpoint.
        keep: How much of its weights is kept, in (0, 1]; 1 keeps them unchanged.

    Raises:
        ConfigError: if ``keep`` is out of range.
    """

    folder: Path
    keep: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.keep <= 1.0:
            raise ConfigError(f"keep must be in (0, 1], found {self.keep}")

    def fingerprint(self) -> list[str | float]:
        """Return the fields that the weights depend on.

        Raises:
            CheckpointError: if there are no weights.
        """
        return [weights_sha256(self.folder), self.keep]


@torch.no_grad()
def shrink_and_perturb(model: JointModel, start: WarmStart) -> tuple[str, ...]:
    """Move a fresh model towards an older one: ``theta = keep * theta_old + (1 - keep) * theta``.

    Ash & Adams 2020 (arXiv 1910.08475, section 4) shrink the old weights and add noise, because
    models that continue from old weights generalise worse than fresh ones. The noise here is
    what ``model`` brings: freshly drawn heads, and the pre-trained weights of the encoder, from
    which an encoder must not be shrunk away.

    Args:
        model: A model before its first step; changed in place.
        start: The older model. If its labels differ, its heads are not used, only its encoder.

    Returns:
        The names of the weights that stay as they were.

    Raises:
        CheckpointError: if the older model cannot be read.
        TrainingError: if its encoder is another one.
    """
    old = load_checkpoint(start.folder)
    if old.config.encoder != model.config.encoder:
        raise TrainingError(
            f"the model to start from, {start.folder.name}, was made with the encoder "
            f"{old.config.encoder!r}, the settings name {model.config.encoder!r}: train from "
            "scratch"
        )
    same_labels = (old.config.tags, old.config.relation_classes) == (
        model.config.tags,
        model.config.relation_classes,
    )
    before = dict(old.named_parameters())
    left = []
    for name, parameter in model.named_parameters():
        value = before.get(name)
        usable = same_labels or name.startswith("encoder.")
        if not usable or value is None or value.shape != parameter.shape:
            left.append(name)
            continue
        parameter.lerp_(value.to(parameter.device), start.keep)
    return tuple(left)
