"""The optimiser of a run: AdamW with a rate for each part of the model, and averaged weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from annotator.model.joint import JointModel
from annotator.training.settings import TrainingSettings

__all__ = ["WeightAverage", "build_optimizer"]

_ENCODER = "encoder."


def build_optimizer(model: JointModel, settings: TrainingSettings) -> torch.optim.AdamW:
    """Build AdamW with one group per rate, with and without decay (matrices only).

    The heads learn at ``head_lr``; the encoder's last layer at ``encoder_lr`` and each layer
    below at ``layer_decay`` times the rate of the one above (Howard & Ruder 2018).
    """
    top, depths = _depths(model.encoder)
    encoder_rate = settings.encoder_rate(model.encoder_parts.width)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = settings.head_lr
        if name.startswith(_ENCODER):
            depth = depths.get(name.removeprefix(_ENCODER), top)
            rate = encoder_rate * settings.layer_decay ** (top - depth)
        groups.setdefault((rate, parameter.ndim >= 2), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": rate,
                "peak_lr": rate,
                "weight_decay": settings.weight_decay if is_matrix else 0.0,
            }
            for (rate, is_matrix), parameters in groups.items()
        ],
        fused=model.device.type in ("cpu", "cuda"),
    )


def _depths(encoder: nn.Module) -> tuple[int, dict[str, int]]:
    """Return the number of layers and the depth of each parameter: 0 for what is below layer 1.

    The layers are the longest list of modules; parameters that are neither in it nor in an
    embedding are absent.
    """
    lists = {n: m for n, m in encoder.named_modules() if isinstance(m, nn.ModuleList)}
    longest = max(lists, key=lambda name: len(lists[name]), default=None)
    depths = {}
    for name, _ in encoder.named_parameters():
        if longest is not None and name.startswith(f"{longest}."):
            depths[name] = 1 + int(name.removeprefix(f"{longest}.").split(".", 1)[0])
        elif "embedding" in name:
            depths[name] = 0
    return (len(lists[longest]) if longest is not None else 0), depths


class WeightAverage:
    """An exponential moving average of a model's weights (Polyak & Juditsky 1992).

    In its first steps it forgets faster, so that it never retains the initial weights: the decay
    in step ``n`` (from 1) is ``min(decay, n / (n + 9))``.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self._live = [p for p in model.parameters() if p.requires_grad]
        self.values: list[Tensor] = [p.detach().clone() for p in self._live]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Include the weights after ``step`` (from 1)."""
        weight = 1.0 - min(self.decay, step / (step + 9.0))
        for value, parameter in zip(self.values, self._live, strict=True):
            value.lerp_(parameter, weight)

    @torch.no_grad()
    def apply(self) -> None:
        """Copy the averaged weights into the model."""
        for parameter, value in zip(self._live, self.values, strict=True):
            parameter.copy_(value)
