"""Query strategies: from a sentence's stored signals to how useful its label would be.

Utilities are larger for more useful sentences, never sums over a sentence: a sum finds long
sentences, not informative ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from annotator.errors import ConfigError

__all__ = ["STRATEGIES", "Strategy", "get_strategy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A named way to turn signals into a utility."""

    name: str
    summary: str
    utility: Callable[[Mapping[str, float]], float]

    def score(self, signals: Mapping[str, float]) -> float:
        """Return the utility of one sentence; 0.0 where a signal is missing or not finite."""
        try:
            value = self.utility(signals)
        except KeyError:
            return 0.0
        return value if math.isfinite(value) else 0.0


STRATEGIES: Mapping[str, Strategy] = {
    s.name: s
    for s in (
        Strategy(
            name="random",
            summary="no preference; the yardstick",
            utility=lambda signals: 0.0,
        ),
        Strategy(
            name="mnlp",
            summary="mean over words of -log max p (Shen et al. 2017, arXiv 1707.05928)",
            utility=lambda signals: signals["mnlp"],
        ),
        Strategy(
            name="entropy",
            summary="mean token entropy",
            utility=lambda signals: signals["token_entropy"],
        ),
        Strategy(
            name="ltp",
            summary="least certain token (Liu et al. 2020, arXiv 2001.02524)",
            utility=lambda signals: signals["ltp"],
        ),
        Strategy(
            name="joint_rate",
            summary="token and pair entropies plus hidden pairs, over words",
            utility=lambda signals: signals["joint_rate"],
        ),
    )
}


def get_strategy(name: str) -> Strategy:
    """Return a strategy by name.

    Raises:
        ConfigError: if there is none; the message lists them.
    """
    try:
        return STRATEGIES[name]
    except KeyError:
        raise ConfigError(
            f"no query strategy {name!r}; there are: {', '.join(sorted(STRATEGIES))}"
        ) from None
