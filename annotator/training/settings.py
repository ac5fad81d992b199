"""How a training run goes: lengths, rates, seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from annotator.errors import ConfigError

__all__ = ["TrainingSettings"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_SMALL_ENCODER_WIDTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Hyper-parameters of a run.

    Attributes:
        epochs: Passes over the data; more where ``min_steps`` asks for them.
        min_steps: Fewest optimiser steps, so that small data are learnt at all.
        batch_size: Most sentences a step.
        accumulation: Micro-batches that a step is cut into, for devices with little memory. A
            micro-batch weighs as its share of the step's words.
        max_batch_pieces: Most padded word pieces a step; long sentences make smaller batches.
        encoder_lr: Peak learning rate of the encoder; None is 1.5e-4 for encoders up to 512 wide
            and 3e-5 for wider ones.
        head_lr: Peak learning rate of the heads.
        layer_decay: Each layer of the encoder learns at this share of the rate of the one above.
        ema: Decay of the running mean of the weights that becomes the model; 0 keeps the last.
        weight_decay: AdamW's, on matrices only.
        warmup: Share of the steps in which the rates rise; then they fall linearly to 0.
        max_grad_norm: Gradients are scaled down to this norm.
        entity_pretraining: Whether the relation loss fades in over the first epoch (paper).
        seed: Everything random follows from it.
        precision: ``fp32``; ``bf16`` or ``fp16`` (with scaled gradients) for the encoder; or
            ``auto``: bf16 on a GPU only.
        save_every_s: Seconds between saves of the state from which a killed run goes on.

    Raises:
        ConfigError: if a value is out of range.
    """

    epochs: int = 12
    min_steps: int = 250
    batch_size: int = 16
    accumulation: int = 1
    max_batch_pieces: int = 16_384
    encoder_lr: float | None = None
    head_lr: float = 1e-3
    layer_decay: float = 1.0
    ema: float = 0.0
    weight_decay: float = 0.1
    warmup: float = 0.1
    max_grad_norm: float = 1.0
    entity_pretraining: bool = True
    seed: int = 0
    precision: Precision = "auto"
    save_every_s: float = 60.0

    def __post_init__(self) -> None:
        lowest: dict[str, float] = {
            "epochs": 1,
            "min_steps": 0,
            "batch_size": 1,
            "accumulation": 1,
            "max_batch_pieces": 1,
            "head_lr": 0.0,
            "weight_decay": 0.0,
            "seed": 0,
            "save_every_s": 0.0,
        }
        for name, bound in lowest.items():
            if not getattr(self, name) >= bound:
                raise ConfigError(f"{name} must be at least {bound}, found {getattr(self, name)}")
        if not 0.0 <= self.warmup < 1.0:
            raise ConfigError(f"warmup must be in [0, 1), found {self.warmup}")
        if not 0.0 < self.layer_decay <= 1.0:
            raise ConfigError(f"layer_decay must be in (0, 1], found {self.layer_decay}")
        if not 0.0 <= self.ema < 1.0:
            raise ConfigError(f"ema must be in [0, 1), found {self.ema}")
        if not self.max_grad_norm > 0.0:
            raise ConfigError(f"max_grad_norm must be positive, found {self.max_grad_norm}")
        if self.encoder_lr is not None and not self.encoder_lr >= 0.0:
            raise ConfigError(f"encoder_lr must be at least 0, found {self.encoder_lr}")
        if self.precision not in get_args(Precision):
            raise ConfigError(
                f"precision must be one of {', '.join(get_args(Precision))}, found {self.precision}"
            )

    def encoder_rate(self, width: int) -> float:
        """Return the peak learning rate for an encoder of this width."""
        if self.encoder_lr is not None:
            return self.encoder_lr
        return 1.5e-4 if width <= _SMALL_ENCODER_WIDTH else 3e-5

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingSettings:
        """Read what ``to_json`` wrote; absent keys take their defaults.

        Raises:
            ConfigError: if a key is unknown or a value wrong.
        """
        unknown = sorted(set(value) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(f"unknown training settings: {', '.join(unknown)}")
        try:
            return cls(**value)
        except TypeError as error:
            raise ConfigError("a training setting has the wrong type") from error
