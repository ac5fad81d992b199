"""What is measured beside F1: whether confidence is honest, and alarms where there is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from annotator.domain import TaggedSentence, WordEntity
from annotator.model import SentencePrediction
from annotator.model.calibration import calibration_error

__all__ = ["false_alarms", "measure_calibration"]


def measure_calibration(
    gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction]
) -> dict[str, float]:
    """Return the expected calibration error of entities and of relations, 0 to 1.

    An item is right as in strict scoring.
    """
    scores: dict[str, list[float]] = {"ner": [], "re": []}
    right: dict[str, list[bool]] = {"ner": [], "re": []}
    for sentence, found in zip(gold, predicted, strict=True):
        true_entities = {_entity(entity) for entity in sentence.entities}
        true_relations = {
            (
                link.type,
                _entity(sentence.entities[link.head]),
                _entity(sentence.entities[link.tail]),
            )
            for link in sentence.relations
        }
        for entity in found.entities:
            scores["ner"].append(float(entity.score or 0.0))
            right["ner"].append(_entity(entity) in true_entities)
        for link in found.relations:
            ends = _entity(found.entities[link.head]), _entity(found.entities[link.tail])
            scores["re"].append(float(link.score or 0.0))
            right["re"].append((link.type, *ends) in true_relations)
    return {
        layer: round(
            calibration_error(np.array(scores[layer]), np.array(right[layer], dtype=np.bool_)), 6
        )
        for layer in scores
    }


def _entity(entity: WordEntity) -> tuple[str, int, int]:
    return entity.type, entity.first, entity.last


def false_alarms(
    gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction]
) -> dict[str, Any] | None:
    """Count what is predicted on sentences without gold labels, a hundred of them.

    Returns:
        ``n_empty``; and ``entities``, ``relations`` and ``sentences`` (those with at least one
        prediction), each per 100 empty sentences. None where no sentence is empty.
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
