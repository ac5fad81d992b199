"""Measures beside F1: false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from annotator.domain import TaggedSentence
from annotator.model import SentencePrediction

__all__ = ["false_alarms"]


def false_alarms(
    gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction]
) -> dict[str, Any] | None:
    """Count predictions on sentences without gold entities.

    Returns:
        ``n_empty``; and ``entities``, ``relations`` and ``sentences`` (those with at least one
        predicted entity), each per 100 empty sentences. None if no sentence is empty.
    """
    found = [
        prediction
        for sentence, prediction in zip(gold, predicted, strict=True)
        if not sentence.entities
    ]
    if not found:
        return None
    rate = 100.0 / len(found)
    return {
        "n_empty": len(found),
        "entities": round(rate * sum(len(one.entities) for one in found), 4),
        "relations": round(rate * sum(len(one.relations) for one in found), 4),
        "sentences": round(rate * sum(bool(one.entities) for one in found), 4),
    }
