"""What a label costs: seconds of an annotator's time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AnnotationCost", "per_second"]

_LEAST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationCost:
    """Seconds of reading and labelling, linear in what is there (Wei et al. 2019).

    The defaults are an assumption, not a measurement: 200 words a minute to read, two seconds to
    open and submit, some seconds for each label that is checked or drawn.
    """

    sentence_s: float = 2.0
    word_s: float = 0.3
    entity_s: float = 3.0
    relation_s: float = 4.0

    def seconds(
        self, *, sentences: float, words: float, entities: float, relations: float
    ) -> float:
        """Return the seconds for labelling this much."""
        return (
            self.sentence_s * sentences
            + self.word_s * words
            + self.entity_s * entities
            + self.relation_s * relations
        )

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return asdict(self)


def per_second(
    rates: NDArray[Any],
    *,
    words: NDArray[Any],
    entities: NDArray[Any],
    relations: NDArray[Any],
    cost: AnnotationCost,
) -> NDArray[Any]:
    """Return the value of a second of labelling, where a rate is the value of one word.

    A sentence is worth ``rate * words`` and takes the time of opening it, reading its words and
    labelling it. If only words took time, the order would be that of the rates, whatever the
    length; the time to open a task counts against short sentences, that of labels against dense
    ones.

    Args:
        rates: Utilities that are means over words. Shape ``(n,)``.
        words: Words of each sentence. Shape ``(n,)``.
        entities: Expected entities of each sentence. Shape ``(n,)``.
        relations: Expected relations of each sentence. Shape ``(n,)``.
        cost: Seconds of each.

    Returns:
        Shape ``(n,)``, finite.
    """
    seconds = (
        cost.sentence_s
        + cost.word_s * words
        + cost.entity_s * entities
        + cost.relation_s * relations
    )
    worth: NDArray[Any] = rates * words / np.maximum(seconds, _LEAST_S)
    return worth
