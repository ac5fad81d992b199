"""Documents with entities and relations as character spans.

Every offset counts Unicode code points into ``Document.text``, half open: the mention of an
entity is ``text[start:end]``. The text itself is never normalised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotator.errors import InputError, OffsetError

__all__ = ["Document", "Entity", "Relation", "Sentence", "Token"]


def _check_span(kind: str, start: int, end: int) -> None:
    if not 0 <= start < end:
        raise OffsetError(f"{kind} must satisfy 0 <= start < end, found {start}..{end}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word, number or punctuation mark. Offsets into the document, half open."""

    start: int
    end: int

    def __post_init__(self) -> None:
        _check_span("token", self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One sentence without the white space around it. Offsets into the document, half open."""

    start: int
    end: int

    def __post_init__(self) -> None:
        _check_span("sentence", self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A typed mention. ``score`` is the model's confidence in [0, 1], None for a human label."""

    id: str
    type: str
    start: int
    end: int
    score: float | None = None

    def __post_init__(self) -> None:
        if not self.id or not self.type:
            raise InputError(f"entity at {self.start}..{self.end} needs an id and a type")
        _check_span(f"entity {self.id}", self.start, self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A typed link from entity id ``head`` to entity id ``tail``.

    ``type`` is None where a person drew a relation and chose no label. ``bidirectional`` keeps
    Label Studio's direction ``bi``. The model expresses neither; the lossless formats export both.
    """

    type: str | None
    head: str
    tail: str
    bidirectional: bool = False
    score: float | None = None

    def __post_init__(self) -> None:
        if not self.head or not self.tail:
            raise InputError("a relation needs a head and a tail entity id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A text with its labels, checked: ids unique, spans inside the text, relation ends present.

    Raises:
        OffsetError: if an entity lies outside the text.
        InputError: if two entities share an id or a relation names an entity that is not there.
    """

    id: str
    text: str
    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for entity in self.entities:
            if entity.id in seen:
                raise InputError(f"document {self.id}: entity id {entity.id} occurs twice")
            seen.add(entity.id)
            if entity.end > len(self.text):
                raise OffsetError(
                    f"document {self.id}: entity {entity.id} ends at {entity.end}, "
                    f"past the text (length {len(self.text)})"
                )
        for relation in self.relations:
            for end in (relation.head, relation.tail):
                if end not in seen:
                    raise InputError(
                        f"document {self.id}: relation {relation.type} names entity {end}, "
                        "which is not in the document"
                    )

    def mention(self, entity: Entity) -> str:
        """Return the text that ``entity`` covers."""
        return self.text[entity.start : entity.end]
