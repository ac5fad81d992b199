"""Settings of a training run: lengths, rates, seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from annotator.errors import ConfigError

__all__ = ["AdaptationSettings", "TrainingSettings"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]

_SMALL_ENCODER_WIDTH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """Hyper-parameters of a run.

    Attributes:
        epochs: Passes over the data; more where ``min_steps`` asks for them.
        min_steps: Fewest optimiser steps, so that small data are learnt at all.
        batch_size: Most sentences per step.
        accumulation: Micro-batches that a step is cut into, for devices with little memory. Each
            is weighted by its share of the step's words.
        max_batch_pieces: Most padded word pieces per step; long sentences make smaller batches.
        encoder_lr: Peak learning rate of the encoder; None is 1.5e-4 for encoders up to 512 wide
            and 3e-5 for wider ones.
        head_lr: Peak learning rate of the heads.
        layer_decay: Rate of each layer of the encoder relative to the one above.
        ema: Decay of the moving average of the weights that becomes the model; 0 keeps the last.
        word_dropout: Fraction of words replaced by the mask piece in each step, so that the
            model learns to use the context (Kiperwasser & Goldberg 2016).
        weight_decay: AdamW's, on matrices only.
        warmup: Fraction of the steps in which the rates rise; then they fall linearly to 0.
        max_grad_norm: Gradients are scaled down to this norm.
        entity_pretraining: Whether the relation loss fades in over the first epoch (paper).
        seed: The source of all randomness.
        precision: ``fp32``; ``bf16`` or ``fp16`` (with scaled gradients) for the encoder; or
            ``auto``: bf16 where the device multiplies in it.
        save_every_s: Seconds between saves of the state from which a killed run resumes.

    Raises:
        ConfigError: if a value is out of range.
    """

    epochs: int = 12
    min_steps: int = 600
    batch_size: int = 16
    accumulation: int = 1
    max_batch_pieces: int = 16_384
    encoder_lr: float | None = None
    head_lr: float = 1e-3
    layer_decay: float = 1.0
    ema: float = 0.0
    word_dropout: float = 0.0
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
        if not 0.0 <= self.word_dropout < 1.0:
            raise ConfigError(f"word_dropout must be in [0, 1), found {self.word_dropout}")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptationSettings:
    """Hyper-parameters of adapting an encoder to text.

    Attributes:
        epochs: Passes over the text, unless steps or minutes are given.
        steps: Optimiser steps; None takes as many as the epochs need.
        minutes: Minutes of training; the rates fall with time instead of steps.
        batch_pieces: Most padded word pieces per step.
        encoder_lr: Peak learning rate of the encoder; None is 3e-4 for encoders up to 512 wide and
            5e-5 for wider ones.
        head_lr: Peak learning rate of the head that guesses hidden words.
        weight_decay: AdamW's, on matrices only.
        warmup: Fraction of the run in which the encoder's rate rises; then it falls linearly to 0.
        head_share: Fraction of the run in which only a fresh head learns, before the warm-up.
        max_grad_norm: Gradients are scaled down to this norm.
        mask: Fraction of the words that are hidden.
        holdout: Fraction of the sentences reserved for measuring the loss.
        max_holdout: Most such sentences.
        min_words: Shorter sentences are skipped: they have no context to learn from.
        seed: The source of all randomness.
        precision: ``fp32``, ``bf16``, or ``auto``: bf16 where the processor multiplies in it.
        save_every_s: Seconds between saves of the state from which a killed run resumes.

    Raises:
        ConfigError: if a value is out of range.
    """

    epochs: int = 3
    steps: int | None = None
    minutes: float | None = None
    batch_pieces: int = 4_096
    encoder_lr: float | None = None
    head_lr: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.06
    head_share: float = 0.05
    max_grad_norm: float = 1.0
    mask: float = 0.15
    holdout: float = 0.02
    max_holdout: int = 2_000
    min_words: int = 4
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    save_every_s: float = 120.0

    def __post_init__(self) -> None:
        if self.steps is not None and self.minutes is not None:
            raise ConfigError("give steps or minutes, not both")
        lowest: dict[str, float] = {
            "epochs": 1,
            "steps": 1,
            "batch_pieces": 1,
            "encoder_lr": 0.0,
            "head_lr": 0.0,
            "weight_decay": 0.0,
            "max_holdout": 0,
            "min_words": 1,
            "seed": 0,
            "save_every_s": 0.0,
        }
        for name, bound in lowest.items():
            value = getattr(self, name)
            if value is not None and not value >= bound:
                raise ConfigError(f"{name} must be at least {bound}, found {value}")
        for name in ("minutes", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0.0:
                raise ConfigError(f"{name} must be positive, found {value}")
        if not 0.0 < self.mask < 1.0:
            raise ConfigError(f"mask must be between 0 and 1, found {self.mask}")
        if not 0.0 <= self.holdout < 1.0:
            raise ConfigError(f"holdout must be in [0, 1), found {self.holdout}")
        if not (self.warmup >= 0.0 and self.head_share >= 0.0):
            raise ConfigError("warmup and head_share must be at least 0")
        if not self.warmup + self.head_share < 1.0:
            raise ConfigError("warmup and head_share together must stay below 1")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"precision must be auto, fp32 or bf16, found {self.precision}")

    def encoder_rate(self, width: int) -> float:
        """Return the peak learning rate for an encoder of this width."""
        if self.encoder_lr is not None:
            return self.encoder_lr
        return 3e-4 if width <= _SMALL_ENCODER_WIDTH else 5e-5

    def rate_factor(self, share: float, *, head_share: float, is_head: bool) -> float:
        """Return the factor on a peak rate when ``share`` of the run is done.

        Until ``head_share`` only the head learns, at its peak. From there the encoder's rate rises
        over ``warmup`` and both fall linearly to 0.
        """
        rest = 1.0 - head_share
        fall = (1.0 - share) / rest
        if is_head:
            return min(1.0, fall)
        if share < head_share:
            return 0.0
        rise = (share - head_share) / self.warmup if self.warmup else 1.0
        return min(1.0, rise, (1.0 - share) / (rest - self.warmup))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)
