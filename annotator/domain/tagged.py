"""Sentences as the model sees them: words, and labels over word indices."""

from __future__ import annotations

from dataclasses import dataclass, replace

from annotator.domain.document import Token
from annotator.domain.schema import LabelSchema
from annotator.errors import InputError

__all__ = ["TaggedSentence", "WordEntity", "WordRelation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WordEntity:
    """A typed span of words. ``first`` and ``last`` are word indices, both inside the span."""

    type: str
    first: int
    last: int
    score: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last:
            raise InputError(
                f"word entity must satisfy 0 <= first <= last, {self.first, self.last}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WordRelation:
    """A typed link; ``head`` and ``tail`` index the sentence's ``entities``."""

    type: str
    head: int
    tail: int
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedSentence:
    """The words of one sentence with flat, non-overlapping entities and their relations.

    ``tokens`` carry offsets into the document's text; ``words`` are their surface forms, so that
    the model needs no document. ``start``/``end`` are the sentence's offsets in the document.
    ``group`` names what must stay on one side of a split (usually the document id).
    ``is_complete`` is False if a person drew something in it that words cannot express: its
    unlabelled words and pairs say nothing, so nothing is learnt from it and nothing measured on it.
    """

    id: str
    words: tuple[str, ...]
    tokens: tuple[Token, ...]
    start: int
    end: int
    entities: tuple[WordEntity, ...] = ()
    relations: tuple[WordRelation, ...] = ()
    group: str = ""
    is_complete: bool = True

    def __post_init__(self) -> None:
        if len(self.words) != len(self.tokens):
            raise InputError(
                f"sentence {self.id}: {len(self.words)} words but {len(self.tokens)} tokens"
            )
        covered: set[int] = set()
        for entity in self.entities:
            if entity.last >= len(self.words):
                raise InputError(
                    f"sentence {self.id}: entity ends at word {entity.last} "
                    f"of {len(self.words)} words"
                )
            span = set(range(entity.first, entity.last + 1))
            if covered & span:
                raise InputError(f"sentence {self.id}: entities overlap at word {entity.first}")
            covered |= span
        for relation in self.relations:
            for end in (relation.head, relation.tail):
                if not 0 <= end < len(self.entities):
                    raise InputError(
                        f"sentence {self.id}: relation end {end} of {len(self.entities)} entities"
                    )

    def restrict(self, schema: LabelSchema) -> TaggedSentence:
        """Return this sentence with only the labels whose types are in ``schema``."""
        kept = [i for i, e in enumerate(self.entities) if e.type in schema.entity_types]
        place = {old: new for new, old in enumerate(kept)}
        return replace(
            self,
            entities=tuple(self.entities[i] for i in kept),
            relations=tuple(
                replace(r, head=place[r.head], tail=place[r.tail])
                for r in self.relations
                if r.type in schema.relation_types and r.head in place and r.tail in place
            ),
        )
