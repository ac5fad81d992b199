"""Calibration of confidences: one temperature per head, fitted on held-out sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from annotator.errors import ConfigError

__all__ = ["Calibration", "calibration_error", "fit_temperature"]

_LOWEST, _HIGHEST = 0.05, 20.0
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What turns scores into probabilities.

    Attributes:
        ner_temperature: Divides the tag scores.
        relation_temperature: Divides the relation scores.
        pair_entropy: Mean entropy of a candidate pair on held-out sentences, in nats; the weight
            of a hidden pair in the signal ``joint_rate``.
        fitted: False if these are the defaults, because no held-out sentence was given.
    """

    ner_temperature: float = 1.0
    relation_temperature: float = 1.0
    pair_entropy: float = 0.2
    fitted: bool = False

    def __post_init__(self) -> None:
        for name in ("ner_temperature", "relation_temperature"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"{name} must be positive and finite, found {value}")
        if not (math.isfinite(self.pair_entropy) and self.pair_entropy >= 0):
            raise ConfigError(f"pair_entropy must be 0 or more, found {self.pair_entropy}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "ner_temperature": self.ner_temperature,
            "relation_temperature": self.relation_temperature,
            "pair_entropy": self.pair_entropy,
            "fitted": self.fitted,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: if a value is missing, of the wrong type, or out of range.
        """
        try:
            return cls(
                ner_temperature=float(value["ner_temperature"]),
                relation_temperature=float(value["relation_temperature"]),
                pair_entropy=float(value["pair_entropy"]),
                fitted=bool(value["fitted"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                "a calibration needs the numbers ner_temperature, relation_temperature and "
                "pair_entropy, and fitted"
            ) from error


def fit_temperature(logits: Tensor, classes: Tensor) -> float:
    """Find the temperature with the least cross-entropy (Guo et al. 2017), by golden section.

    Args:
        logits: Scores. Shape ``(items, classes)``.
        classes: True classes. Shape ``(items,)``, int64.

    Returns:
        A temperature in [0.05, 20]; 1.0 if there are no items.
    """
    if classes.numel() == 0:
        return 1.0
    scores = logits.double()

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(scores / math.exp(log_temperature), classes))

    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    while high - low > 1e-4:
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - _GOLDEN * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + _GOLDEN * (high - low)
            loss_right = loss(right)
    return math.exp((low + high) / 2.0)


def calibration_error(
    scores: NDArray[np.float64], right: NDArray[np.bool_], *, n_bins: int = 10
) -> float:
    """Return the expected calibration error: mean gap of confidence and accuracy over equal bins.

    Args:
        scores: Confidences in [0, 1]. Shape ``(items,)``.
        right: Whether each item is right. Shape ``(items,)``.
        n_bins: Number of equally wide bins.
    """
    if len(scores) == 0:
        return 0.0
    bins = np.minimum((scores * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(bins, weights=scores - right.astype(np.float64), minlength=n_bins)
    return float(np.abs(gaps).sum() / len(scores))
