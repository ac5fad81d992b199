"""Forecast of what more labels would bring: an inverse power law fitted to the learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["LEAST_POINTS", "CurvePoint", "Gain", "Interval", "LearningCurve"]

#: Fewest models for a curve.
LEAST_POINTS: Final = 4
#: Candidate exponents: 0.05 gives a curve that hardly bends over the logarithm of the words.
_EXPONENTS: Final = np.linspace(0.05, 2.0, 40)
#: Two trainings from the same labels differ by more than this, whatever the hold-out says.
_LEAST_ERROR: Final = 0.5
_REACH: Final = 10.0  # standard deviations within which quantiles are searched


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """A model's result on the hold-out: words it learnt from, joint F1, and its standard error."""

    words: float
    joint_f1: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A median and the ends of the 95 % interval around it."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Expected gain if the words grow by the factor ``growth``, in points of joint F1.

    ``low`` and ``high`` are the 95 % interval, ``n`` is the number of models behind it.
    """

    growth: float
    gain: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {key: round(value, 4) for key, value in asdict(self).items()}

    def __str__(self) -> str:
        return (
            f"{self.growth - 1:.0%} more words would bring {self.gain:+.2f} points of F1 "
            f"({self.low:+.2f} to {self.high:+.2f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """F1 = a - b w^-c over the words w (Figueroa et al. 2012), for many c at once.

    A few points do not determine c. So a and b are fitted for each of 40 exponents, and every
    reading of the curve averages over them, weighted by the likelihood of the points.

    Attributes:
        words: Words of the newest point, the unit of ``w`` in the fits.
        n: Number of points.
        weights: Probability of each exponent. Shape ``(40,)``, sum 1.
        fits: a and b for each exponent. Shape ``(40, 2)``.
        covariances: Of a and b. Shape ``(40, 2, 2)``.
    """

    words: float
    n: int
    weights: NDArray[np.float64]
    fits: NDArray[np.float64]
    covariances: NDArray[np.float64]

    @classmethod
    def fit(cls, points: Sequence[CurvePoint]) -> LearningCurve | None:
        """Fit the curve of all models by weighted least squares.

        The errors of the points are taken as independent; where the points scatter more than that,
        all errors are raised. With one and the same hold-out the points share part of their error,
        so that intervals tend to be too wide.

        Returns None with fewer than four points, or where the words do not differ.
        """
        w = np.array([max(one.words, 1.0) for one in points])
        if len(points) < LEAST_POINTS or np.ptp(w) == 0:
            return None
        y = np.array([one.joint_f1 for one in points])
        errors = np.array([max(one.error, _LEAST_ERROR) for one in points])
        x = (w / w[-1]) ** -_EXPONENTS[:, None]
        design = np.stack([np.ones_like(x), -x], axis=-1) / errors[:, None]
        target = y / errors
        covariances = np.linalg.inv(design.transpose(0, 2, 1) @ design)
        fits = (covariances @ design.transpose(0, 2, 1) @ target[:, None])[..., 0]
        misfit = ((target - (design @ fits[..., None])[..., 0]) ** 2).sum(axis=1)
        scatter = max(1.0, float(misfit.min()) / (len(points) - 3))
        weights = np.exp((misfit.min() - misfit) / (2.0 * scatter))
        return cls(
            words=float(w[-1]),
            n=len(points),
            weights=weights / weights.sum(),
            fits=fits,
            covariances=covariances * scatter,
        )

    def level(self, words: float, *, error: float = 0.0) -> Interval:
        """Return the F1 of a model that learns from ``words`` words.

        ``error`` is the standard error of the hold-out that measures it; with 0 the interval is
        that of the curve.
        """
        return self._read(np.stack([np.ones(len(_EXPONENTS)), -self._reach(words)], axis=1), error)

    def gain(self, growth: float) -> Gain:
        """Return the expected gain if the words grow by the factor ``growth``."""
        found = self._read(
            np.stack([np.zeros(len(_EXPONENTS)), 1.0 - self._reach(self.words * growth)], axis=1)
        )
        return Gain(growth=growth, gain=found.middle, low=found.low, high=found.high, n=self.n)

    def _reach(self, words: float) -> NDArray[np.float64]:
        return np.asarray((words / self.words) ** -_EXPONENTS, dtype=np.float64)

    def _read(self, of: NDArray[np.float64], error: float = 0.0) -> Interval:
        """Return quantiles of a mixture of normal distributions of ``of`` times a and b."""
        from scipy.optimize import brentq

        means = (of * self.fits).sum(axis=1)
        spread = np.sqrt(np.einsum("ki,kij,kj->k", of, self.covariances, of) + error**2)
        ends = (means - _REACH * spread).min(), (means + _REACH * spread).max()

        def excess(level: float, share: float) -> float:
            return float(self.weights @ ndtr((level - means) / spread)) - share

        middle, low, high = (brentq(excess, *ends, args=(share,)) for share in (0.5, 0.025, 0.975))
        return Interval(middle=middle, low=low, high=high)
