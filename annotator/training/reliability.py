"""Calibration of confidence, and temperatures that improve it on sentences not fitted to."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from annotator.domain import TaggedSentence, WordEntity
from annotator.model.calibration import Calibration, calibration_error
from annotator.model.joint import JointModel
from annotator.model.prediction import SentencePrediction
from annotator.model.predictor import Predictor
from annotator.training.calibrate import HEADS, fit_calibration

__all__ = ["choose_calibration", "measure_calibration"]

_FEWEST_ITEMS = 20
_LOWEST = 1e-6


@dataclass(slots=True, kw_only=True)
class _Items:
    """Predictions of one head: their confidences, and whether each is right."""

    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def log_loss(self) -> float:
        """Return the mean log loss of the confidences, in nats."""
        scores = np.clip(np.array(self.scores), _LOWEST, 1.0 - _LOWEST)
        return float(-np.log(np.where(self.right, scores, 1.0 - scores)).mean())


def measure_calibration(
    gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction]
) -> dict[str, float]:
    """Return the expected calibration error of entities and of relations, 0 to 1.

    An item is right as in strict scoring.
    """
    return {
        head: round(
            calibration_error(np.array(items.scores), np.array(items.right, dtype=np.bool_)), 6
        )
        for head, items in _items(gold, predicted).items()
    }


def choose_calibration(model: JointModel, sentences: Sequence[TaggedSentence]) -> Calibration:
    """Fit a temperature for each head that benefits from one, on held-out sentences.

    Each half of the sentences (a group is in one half) is judged with the temperatures of the
    other. A head whose log loss improves that way gets a temperature fitted on both halves; any
    other keeps its scores unscaled.
    """
    halves = _halve(sentences)
    if not all(halves):
        return fit_calibration(model, sentences, heads=())
    others = [fit_calibration(model, half) for half in reversed(halves)]
    plain = [Calibration(), Calibration()]
    heads: list[str] = []
    for head in HEADS:  # the relation's score depends on those of its entities, so one by one
        fitted = [_take(head, base, other) for base, other in zip(plain, others, strict=True)]
        before = _judge(model, halves, plain, head)
        after = _judge(model, halves, fitted, head)
        if len(before.scores) >= _FEWEST_ITEMS and after.log_loss() < before.log_loss():
            heads.append(head)
            plain = fitted
    return fit_calibration(model, sentences, heads=heads)


def _take(head: str, base: Calibration, other: Calibration) -> Calibration:
    if head == "ner":
        return replace(base, ner_temperature=other.ner_temperature)
    return replace(base, relation_temperature=other.relation_temperature)


def _judge(
    model: JointModel,
    halves: Sequence[Sequence[TaggedSentence]],
    calibrations: Sequence[Calibration],
    head: str,
) -> _Items:
    found = _Items()
    before, was_training = model.calibration, model.training
    try:
        for half, calibration in zip(halves, calibrations, strict=True):
            model.calibration = calibration
            items = _items(half, Predictor(model).predict(half))[head]
            found.scores += items.scores
            found.right += items.right
    finally:
        model.calibration = before
        model.train(was_training)
    return found


def _halve(
    sentences: Sequence[TaggedSentence],
) -> tuple[list[TaggedSentence], list[TaggedSentence]]:
    order = sorted(
        {s.group or s.id for s in sentences},
        key=lambda group: (zlib.crc32(group.encode("utf-8", "surrogatepass")), group),
    )
    first = set(order[::2])
    halves: tuple[list[TaggedSentence], list[TaggedSentence]] = ([], [])
    for sentence in sentences:
        halves[(sentence.group or sentence.id) not in first].append(sentence)
    return halves


def _items(
    gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction]
) -> dict[str, _Items]:
    found = {head: _Items() for head in HEADS}
    for sentence, prediction in zip(gold, predicted, strict=True):
        entities = [_key(entity) for entity in prediction.entities]
        true_entities = [_key(entity) for entity in sentence.entities]
        true_relations = {
            (link.type, true_entities[link.head], true_entities[link.tail])
            for link in sentence.relations
        }
        _add(
            found["ner"],
            [entity.score for entity in prediction.entities],
            entities,
            set(true_entities),
        )
        _add(
            found["re"],
            [link.score for link in prediction.relations],
            [(r.type, entities[r.head], entities[r.tail]) for r in prediction.relations],
            true_relations,
        )
    return found


def _add(
    items: _Items,
    scores: Sequence[float | None],
    keys: Sequence[tuple[object, ...]],
    true: Collection[tuple[object, ...]],
) -> None:
    items.scores += [float(score or 0.0) for score in scores]
    items.right += [key in true for key in keys]


def _key(entity: WordEntity) -> tuple[str, int, int]:
    return entity.type, entity.first, entity.last
