"""The label schema: which entity and relation types exist and which pairs may be related."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from annotator.domain.document import Document
from annotator.errors import ConfigError

__all__ = ["LabelSchema"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSchema:
    """Entity types, relation types, and for each relation the allowed (head, tail) type pairs.

    ``pairs`` holds ``(relation type, head type, tail type)``; a relation type without any such
    triple is unrestricted. Order is kept: it is the order of tags and classes in a model.
    """

    entity_types: tuple[str, ...]
    relation_types: tuple[str, ...] = ()
    pairs: frozenset[tuple[str, str, str]] = frozenset()

    def __post_init__(self) -> None:
        for kind, names in (("entity", self.entity_types), ("relation", self.relation_types)):
            if len(set(names)) != len(names) or not all(n and n.strip() == n for n in names):
                raise ConfigError(
                    f"{kind} types must be unique, not empty and without surrounding blanks"
                )
        for relation, head, tail in self.pairs:
            if (
                relation not in self.relation_types
                or head not in self.entity_types
                or tail not in self.entity_types
            ):
                raise ConfigError(
                    f"allowed pair {relation}: {head} -> {tail} names a type not in the schema"
                )

    def allows(self, relation: str, *, head: str, tail: str) -> bool:
        """Return whether ``relation`` may go from an entity of type ``head`` to one of ``tail``."""
        if relation not in self.relation_types:
            return False
        declared = [pair for pair in self.pairs if pair[0] == relation]
        return not declared or (relation, head, tail) in self.pairs

    def only_type(self, head: str, tail: str) -> str | None:
        """Return the relation type allowed between entities of these types, if it is just one."""
        allowed = [name for name in self.relation_types if self.allows(name, head=head, tail=tail)]
        return allowed[0] if len(allowed) == 1 else None

    def merge(self, other: LabelSchema) -> LabelSchema:
        """Return the union, own types first."""
        return LabelSchema(
            entity_types=tuple(dict.fromkeys(self.entity_types + other.entity_types)),
            relation_types=tuple(dict.fromkeys(self.relation_types + other.relation_types)),
            pairs=self.pairs | other.pairs,
        )

    def with_pairs(self, pairs: Iterable[tuple[str, str, str]]) -> LabelSchema:
        """Return this schema plus those ``pairs`` whose types it has."""
        fitting = frozenset(
            (relation, head, tail)
            for relation, head, tail in pairs
            if relation in self.relation_types
            and head in self.entity_types
            and tail in self.entity_types
        )
        return LabelSchema(
            entity_types=self.entity_types,
            relation_types=self.relation_types,
            pairs=self.pairs | fitting,
        )

    def without_pairs(self) -> LabelSchema:
        """Return these types alone: every relation may go between all of them."""
        return LabelSchema(entity_types=self.entity_types, relation_types=self.relation_types)

    @classmethod
    def from_documents(cls, documents: Iterable[Document]) -> LabelSchema:
        """Collect the schema that ``documents`` use, types in alphabetical order."""
        entity_types: set[str] = set()
        pairs: set[tuple[str, str, str]] = set()
        for document in documents:
            types = {entity.id: entity.type for entity in document.entities}
            entity_types.update(types.values())
            for relation in document.relations:
                if relation.type is not None:
                    pairs.add((relation.type, types[relation.head], types[relation.tail]))
        return cls(
            entity_types=tuple(sorted(entity_types)),
            relation_types=tuple(sorted({pair[0] for pair in pairs})),
            pairs=frozenset(pairs),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "entity_types": list(self.entity_types),
            "relation_types": list(self.relation_types),
            "pairs": [list(pair) for pair in sorted(self.pairs)],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LabelSchema:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: if a key is missing or has the wrong shape.
        """
        try:
            return cls(
                entity_types=tuple(str(name) for name in value["entity_types"]),
                relation_types=tuple(str(name) for name in value.get("relation_types", ())),
                pairs=frozenset((str(r), str(h), str(t)) for r, h, t in value.get("pairs", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(
                "a schema needs entity_types, relation_types and pairs [[relation, head, tail]]"
            ) from error

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""
        canonical = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()
