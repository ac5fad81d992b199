"""The prediction of a sentence, put together of parts where the sentence is very long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from annotator.domain import WordEntity, WordRelation
from annotator.model.signals import BALD
from annotator.text import MAX_WORDS

__all__ = ["SentencePrediction", "join_predictions", "part_spans"]

_SUMS = ("n_words", "pair_entropy_sum", "n_pairs", "hidden_pairs")
_MEANS = ("token_entropy", "mnlp", "margin", "joint_rate", BALD)  # of a word


@dataclass(frozen=True, slots=True, kw_only=True)
class SentencePrediction:
    """The model's predictions for one sentence.

    Attributes:
        entities: Predicted entities in order, each with its score.
        relations: Predicted relations between them, each with its score.
        signals: Acquisition signals by the names in ``annotator.model.signals``.
        embedding: Mean word state, L2-normalised; zeros for a sentence without words.
            Shape ``(H,)``, float32.
    """

    entities: tuple[WordEntity, ...] = ()
    relations: tuple[WordRelation, ...] = ()
    signals: Mapping[str, float]
    embedding: NDArray[np.float32]


def part_spans(n_words: int) -> list[tuple[int, int]]:
    """Return first word and end of the parts, of like length, that a sentence is predicted in."""
    n_parts = -(-n_words // MAX_WORDS)
    edges = [round(i * n_words / n_parts) for i in range(n_parts + 1)] if n_words else [0]
    return list(pairwise(edges))


def join_predictions(
    parts: Sequence[SentencePrediction], spans: Sequence[tuple[int, int]]
) -> SentencePrediction:
    """Return the prediction of a whole sentence; no relation goes from one part to another."""
    if len(parts) == 1:
        return parts[0]
    entities: list[WordEntity] = []
    relations: list[WordRelation] = []
    for part, (start, _) in zip(parts, spans, strict=True):
        first = len(entities)
        relations += [replace(r, head=first + r.head, tail=first + r.tail) for r in part.relations]
        entities += [replace(e, first=start + e.first, last=start + e.last) for e in part.entities]
    n_words = np.array([end - start for start, end in spans], dtype=np.float64)
    mean = np.average([part.embedding for part in parts], axis=0, weights=n_words)
    embedding = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return SentencePrediction(
        entities=tuple(entities),
        relations=tuple(relations),
        signals={name: _join_signal(name, parts, n_words) for name in parts[0].signals},
        embedding=embedding.astype(np.float32),
    )


def _join_signal(
    name: str, parts: Sequence[SentencePrediction], n_words: NDArray[np.float64]
) -> float:
    values = np.array([part.signals[name] for part in parts])
    if name in _SUMS:
        return float(values.sum())
    if name in _MEANS:
        return float(np.average(values, weights=n_words))
    joined: Callable[[NDArray[np.float64]], float] = {
        "ltp": lambda found: float(found.max()),
        "least_confidence": lambda found: float(1.0 - np.prod(1.0 - found)),
    }[name]
    return joined(values)
