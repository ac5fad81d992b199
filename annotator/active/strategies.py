"""Query strategies: from a sentence's stored signals to the utility of labelling it.

Utilities are larger for more useful sentences, and never sums over a sentence: a sum finds long
sentences, not informative ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.active.acquisition import (
    Alternate,
    Distance,
    Nothing,
    Rank,
    Rate,
    ScoredPool,
    Signal,
    Term,
    TopRank,
    Weighted,
)
from annotator.errors import ConfigError

__all__ = ["STRATEGIES", "Strategy", "get_strategy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A named way to turn signals into a utility; ``str`` prints its formula."""

    name: str
    summary: str
    term: Term

    def utilities(self, pool: ScoredPool) -> NDArray[Any]:
        """Return the utility of each sentence of ``pool``, always finite. Shape ``(n,)``."""
        values = self.term.values(pool)
        return np.where(np.isfinite(values), values, 0.0)

    @property
    def is_rate(self) -> bool:
        """Whether a utility is the value of one word, so that seconds weigh it."""
        return self.name not in _OF_SENTENCES

    def check_queue(self) -> None:
        """Check that the signals stored by a scoring pass suffice for this strategy.

        Raises:
            ConfigError: if they do not.
        """
        if self.name in _SIMULATED:
            others = sorted(STRATEGIES.keys() - _SIMULATED)
            raise ConfigError(
                f"the strategy {self.name} needs more than the stored signals of a sentence and is "
                f"for annotator simulate; for a queue take one of {', '.join(others)}"
            )

    def __str__(self) -> str:
        return f"{self.name} = {self.term}"


_SIMULATED = {"bald"}  # needs ten passes of the heads, which no prediction stores
_OF_SENTENCES = {"random", "least_confidence", "ltp", "coreset"}
_PAIRS = Rate("pair_entropy_sum")

STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        name: Strategy(name=name, summary=summary, term=term)
        for name, summary, term in (
            ("random", "no preference; the yardstick", Nothing()),
            (
                "least_confidence",
                "improbability of all best tags at once; prefers long sentences, a bad baseline",
                Signal("least_confidence"),
            ),
            ("margin", "small gaps between the two best tags of a word", Signal("margin")),
            ("entropy", "mean token entropy", Signal("token_entropy")),
            (
                "mnlp",
                "mean over words of -log max p (Shen et al. 2017, arXiv 1707.05928)",
                Signal("mnlp"),
            ),
            ("ltp", "least certain token (Liu et al. 2020, arXiv 2001.02524)", Signal("ltp")),
            ("re_entropy", "entropies of candidate pairs, over words", _PAIRS),
            (
                "joint_rate",
                "token and pair entropies plus hidden pairs, over words",
                Signal("joint_rate"),
            ),
            (
                "joint_rank",
                "ranks of mnlp, of pair entropies and of hidden pairs, added up",
                Weighted(
                    (
                        (0.5, Rank(Signal("mnlp"))),
                        (0.4, Rank(_PAIRS)),
                        (0.1, Rank(Rate("hidden_pairs"))),
                    )
                ),
            ),
            (
                "max_rank",
                "the better rank of mnlp and pair entropies",
                TopRank((Signal("mnlp"), _PAIRS)),
            ),
            (
                "bald",
                "disagreement of heads under dropout, over words (arXiv 1703.02910, 2101.08133)",
                Signal("bald"),
            ),
            (
                "coreset",
                "farthest from what is labelled (Sener & Savarese 2018, arXiv 1708.00489)",
                Distance(),
            ),
            (
                "round_robin",
                "mnlp and pair entropies in turn (Reichart et al. 2008)",
                Alternate((Signal("mnlp"), _PAIRS)),
            ),
        )
    }
)


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
