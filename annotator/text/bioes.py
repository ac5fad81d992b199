"""BIOES tags over words, encoded and decoded."""

from __future__ import annotations

from collections.abc import Sequence

from annotator.domain import WordEntity
from annotator.errors import InputError

__all__ = ["decode_bioes", "encode_bioes", "tag_names"]


def tag_names(entity_types: Sequence[str]) -> tuple[str, ...]:
    """Return the tags of a schema: ``O``, then B-, I-, E-, S- of each type in the given order."""
    return ("O", *(f"{prefix}-{name}" for name in entity_types for prefix in "BIES"))


def encode_bioes(n_words: int, entities: Sequence[WordEntity]) -> list[str]:
    """Return one tag per word.

    Raises:
        InputError: if an entity ends past the last word or two entities share a word.
    """
    tags = ["O"] * n_words
    for entity in entities:
        if entity.last >= n_words:
            raise InputError(f"entity ends at word {entity.last} of a sentence of {n_words} words")
        span = range(entity.first, entity.last + 1)
        if any(tags[i] != "O" for i in span):
            raise InputError(f"entities overlap at words {entity.first}..{entity.last}")
        for i in span:
            tags[i] = f"I-{entity.type}"
        tags[entity.first] = f"B-{entity.type}"
        tags[entity.last] = f"E-{entity.type}"
        if entity.first == entity.last:
            tags[entity.first] = f"S-{entity.type}"
    return tags


def decode_bioes(tags: Sequence[str]) -> tuple[WordEntity, ...]:
    """Read entities from tags; the inverse of ``encode_bioes``.

    Illegal sequences are repaired, so that plain BIO is read as well: a stray I- or E- starts an
    entity; a change of type, B-, S- or O ends an open one at the word before; E- ends its entity at
    itself.

    Raises:
        InputError: if a tag is neither ``O`` nor B-, I-, E- or S- with a type.
    """
    entities: list[WordEntity] = []
    first, open_type = 0, ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if tag != "O" and (prefix not in ("B", "I", "E", "S") or not name):
            raise InputError(f"the tag of word {i} must be O, or B-, I-, E- or S- with a type")
        continues = prefix in ("I", "E") and name == open_type
        if open_type and not continues:
            entities.append(WordEntity(type=open_type, first=first, last=i - 1))
        if not continues:
            first, open_type = i, name
        if prefix in ("E", "S"):
            entities.append(WordEntity(type=name, first=first, last=i))
            open_type = ""
    return tuple(entities)
