"""Gold labels as class numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.domain import TaggedSentence
from annotator.model.config import ModelConfig
from annotator.text import encode_bioes

__all__ = ["GoldEncoder", "GoldLabels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldLabels:
    """The labels of one sentence.

    Attributes:
        tags: Tag class of each word. Shape ``(words,)``, int64.
        relations: Last word of the head, last word of the tail, relation class (never 0).
            Shape ``(relations, 3)``, int64.
    """

    tags: NDArray[np.int64]
    relations: NDArray[np.int64]


class GoldEncoder:
    """Turns sentences into class numbers of one configuration and counts what has none.

    Entities and relations whose type the schema does not know, second relations of one ordered
    pair of entities, and relations from an entity to itself are left out and counted.
    """

    def __init__(self, config: ModelConfig) -> None:
        self._tag_class = {tag: i for i, tag in enumerate(config.tags)}
        self._types = frozenset(config.schema.entity_types)
        self._relation_class = {name: i for i, name in enumerate(config.relation_classes)}
        self.left_out: Counter[str] = Counter()

    def encode(self, sentence: TaggedSentence) -> GoldLabels:
        """Return the class numbers of ``sentence``."""
        known = [entity for entity in sentence.entities if entity.type in self._types]
        self.left_out.update(
            f"entity {entity.type}"
            for entity in sentence.entities
            if entity.type not in self._types
        )
        tags = encode_bioes(len(sentence.words), known)
        return GoldLabels(
            tags=np.array([self._tag_class[tag] for tag in tags], dtype=np.int64),
            relations=self._encode_relations(sentence),
        )

    def _encode_relations(self, sentence: TaggedSentence) -> NDArray[np.int64]:
        triples: dict[tuple[int, int], int] = {}
        for relation in sentence.relations:
            head, tail = sentence.entities[relation.head], sentence.entities[relation.tail]
            label = self._relation_class.get(relation.type, 0)
            pair = (head.last, tail.last)
            if not label or head.type not in self._types or tail.type not in self._types:
                self.left_out[f"relation {relation.type}"] += 1
            elif pair in triples or head.last == tail.last:
                self.left_out[f"second or reflexive relation {relation.type}"] += 1
            else:
                triples[pair] = label
        rows = [(head, tail, label) for (head, tail), label in triples.items()]
        return np.array(rows, dtype=np.int64).reshape(-1, 3)
