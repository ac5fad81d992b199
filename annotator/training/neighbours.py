"""Which types have no two entities side by side, learnt from the gold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from annotator.domain import LabelSchema, TaggedSentence

__all__ = ["learn_never_adjacent"]

_MOST = 0.005  # share of a type's entities that may follow one of the same type
_LEAST = 20  # entities of a type to judge by


def learn_never_adjacent(
    sentences: Sequence[TaggedSentence], schema: LabelSchema
) -> tuple[str, ...]:
    """Return the types of which (nearly) no entity begins right after another of the same type."""
    n_entities: Counter[str] = Counter()
    n_adjacent: Counter[str] = Counter()
    for sentence in sentences:
        n_entities.update(entity.type for entity in sentence.entities)
        n_adjacent.update(
            right.type
            for left, right in pairwise(sorted(sentence.entities, key=lambda e: e.first))
            if left.type == right.type and left.last + 1 == right.first
        )
    return tuple(
        name
        for name in schema.entity_types
        if (n := n_entities[name]) >= _LEAST and n_adjacent[name] <= _MOST * n
    )
