"""Strict scores of entities and relations, with boundary-only scores kept separate.

An entity is right if its type and both ends are. A relation is right if its type and both of its
entities are. Boundary-only scores ignore the entity types in both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from annotator.domain import TaggedSentence, WordEntity, WordRelation
from annotator.errors import ShapeError

if TYPE_CHECKING:  # the light commands load no torch
    from annotator.model.prediction import SentencePrediction
    from annotator.model.predictor import Predictor

__all__ = [
    "COLUMNS",
    "Counts",
    "Evaluation",
    "LayerEvaluation",
    "evaluate",
    "evaluate_given_entities",
]

COLUMNS = ("ner_tp", "ner_pred", "ner_gold", "re_tp", "re_pred", "re_gold")

_Key: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """True positives, predictions and gold labels, and the scores from them, in per cent."""

    tp: int = 0
    n_pred: int = 0
    n_gold: int = 0

    @property
    def precision(self) -> float:
        """Share of the predictions that are right; 0 without predictions."""
        return 100.0 * self.tp / self.n_pred if self.n_pred else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold labels that were found; 0 without gold."""
        return 100.0 * self.tp / self.n_gold if self.n_gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 without predictions and gold."""
        total = self.n_pred + self.n_gold
        return 200.0 * self.tp / total if total else 0.0

    def to_json(self) -> dict[str, float]:
        """Return precision, recall and F1 in per cent."""
        return {
            "p": round(self.precision, 4),
            "r": round(self.recall, 4),
            "f1": round(self.f1, 4),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEvaluation:
    """The scores of entities, or those of relations.

    Attributes:
        names: The types that occur in gold or predictions, sorted.
        type_counts: True positives, predictions and gold labels of each sentence and type.
            Shape ``(sentences, types, 3)``, int32.
        boundary: Boundary-only counts.
    """

    names: tuple[str, ...]
    type_counts: NDArray[np.int32]
    boundary: Counts

    @property
    def micro(self) -> Counts:
        """The counts over all types."""
        return _counts(self.type_counts.sum(axis=(0, 1)))

    @property
    def types(self) -> dict[str, Counts]:
        """The counts of each type."""
        rows = self.type_counts.sum(axis=0)  # (types, 3)
        return {name: _counts(row) for name, row in zip(self.names, rows, strict=True)}

    def macro(self) -> dict[str, float]:
        """Return the means over types that occur in gold or predictions, in per cent."""
        scores = [counts.to_json() for counts in self.types.values()]
        return {
            key: round(sum(score[key] for score in scores) / len(scores), 4) if scores else 0.0
            for key in ("p", "r", "f1")
        }

    def to_json(self) -> dict[str, Any]:
        """Return micro, macro, per-type and boundary-only scores in per cent."""
        return {
            "micro": self.micro.to_json(),
            "macro": self.macro(),
            "types": {
                name: {**counts.to_json(), "n": counts.n_gold}
                for name, counts in self.types.items()
            },
            "boundary": self.boundary.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The scores of one model on one set of sentences.

    Attributes:
        ner: Entities.
        re: Relations.
        groups: The group of each sentence, as the hold-out is drawn.
    """

    ner: LayerEvaluation
    re: LayerEvaluation
    groups: tuple[str, ...]

    @property
    def n_sentences(self) -> int:
        """Number of sentences."""
        return len(self.groups)

    @property
    def sentence_counts(self) -> NDArray[np.int64]:
        """Counts per sentence in the order of ``COLUMNS``. Shape ``(sentences, 6)``."""
        layers = [layer.type_counts.sum(axis=1, dtype=np.int64) for layer in (self.ner, self.re)]
        return np.concatenate(layers, axis=1)  # (sentences, 6)

    def to_json(self) -> dict[str, Any]:
        """Return all scores in per cent, without the counts of single sentences."""
        return {
            "ner": self.ner.to_json(),
            "re": self.re.to_json(),
            "n_sentences": self.n_sentences,
        }


class _Tally:
    """Running counts of one layer. The first field of a key is its type."""

    def __init__(self) -> None:
        self.rows: list[Counter[tuple[str, int]]] = []
        self.boundary = np.zeros(3, dtype=np.int64)

    def add(
        self, gold: set[_Key], predicted: set[_Key], *, bounds: tuple[set[_Key], set[_Key]]
    ) -> None:
        columns = (gold & predicted, predicted, gold)
        self.rows.append(Counter((key[0], i) for i, keys in enumerate(columns) for key in keys))
        self.boundary += [len(bounds[0] & bounds[1]), len(bounds[1]), len(bounds[0])]

    def result(self) -> LayerEvaluation:
        names = tuple(sorted({name for row in self.rows for name, _ in row}))
        places = {name: i for i, name in enumerate(names)}
        counts = np.zeros((len(self.rows), len(names), 3), dtype=np.int32)
        for i, row in enumerate(self.rows):
            for (name, column), n in row.items():
                counts[i, places[name], column] = n
        return LayerEvaluation(names=names, type_counts=counts, boundary=_counts(self.boundary))


def _counts(row: NDArray[np.integer[Any]]) -> Counts:
    tp, n_pred, n_gold = row.tolist()
    return Counts(tp=tp, n_pred=n_pred, n_gold=n_gold)


def _entity_keys(entities: Sequence[WordEntity]) -> list[_Key]:
    return [(entity.type, entity.first, entity.last) for entity in entities]


def _relation_keys(relations: Sequence[WordRelation], ends: Sequence[_Key]) -> set[_Key]:
    return {(relation.type, ends[relation.head], ends[relation.tail]) for relation in relations}


def evaluate(gold: Sequence[TaggedSentence], predicted: Sequence[SentencePrediction]) -> Evaluation:
    """Score predictions against gold, sentence by sentence.

    Raises:
        ShapeError: if the numbers of predictions and sentences differ.
    """
    if len(gold) != len(predicted):
        raise ShapeError(f"{len(gold)} gold sentences but {len(predicted)} predictions")
    ner, re = _Tally(), _Tally()
    for sentence, found in zip(gold, predicted, strict=True):
        keys = _entity_keys(sentence.entities), _entity_keys(found.entities)
        spans = [key[1:] for key in keys[0]], [key[1:] for key in keys[1]]
        ner.add(set(keys[0]), set(keys[1]), bounds=(set(spans[0]), set(spans[1])))
        re.add(
            _relation_keys(sentence.relations, keys[0]),
            _relation_keys(found.relations, keys[1]),
            bounds=(
                _relation_keys(sentence.relations, spans[0]),
                _relation_keys(found.relations, spans[1]),
            ),
        )
    return Evaluation(
        ner=ner.result(),
        re=re.result(),
        groups=tuple(sentence.group or sentence.id for sentence in gold),
    )


def evaluate_given_entities(
    gold: Sequence[TaggedSentence], predictor: Predictor
) -> LayerEvaluation:
    """Score the relations predicted among the gold entities: the relation head alone."""
    links = predictor.predict_relations_among(
        [sentence.words for sentence in gold], [sentence.entities for sentence in gold]
    )
    tally = _Tally()
    for sentence, found in zip(gold, links, strict=True):
        keys = _entity_keys(sentence.entities)
        spans = [key[1:] for key in keys]
        tally.add(
            _relation_keys(sentence.relations, keys),
            _relation_keys(found, keys),
            bounds=(
                _relation_keys(sentence.relations, spans),
                _relation_keys(found, spans),
            ),
        )
    return tally.result()
