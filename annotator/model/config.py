"""Configuration of a joint model: encoder, schema, widths and the options of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from annotator.domain import LabelSchema
from annotator.errors import ConfigError
from annotator.text import tag_names

__all__ = [
    "FORMAT_VERSION",
    "NEGATIVE",
    "Candidates",
    "Decoding",
    "ModelConfig",
    "Pooling",
    "Projection",
]

FORMAT_VERSION = 1
NEGATIVE = "NEG"

Decoding = Literal["constrained", "argmax"]
Candidates = Literal["predicted", "gold", "both"]
Pooling = Literal["first", "mean"]
Projection = Literal["two", "shared", "none"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "decoding": get_args(Decoding),
    "candidates": get_args(Candidates),
    "pooling": get_args(Pooling),
    "projection": get_args(Projection),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The widths and options of a joint model (Giorgi et al. 2019, arXiv 1912.13415).

    Attributes:
        schema: Entity and relation types; their order is the order of tags and classes.
        encoder: ``minilm``, a local folder, or a hub id. Only a fresh model needs it.
        pooling: The state of a word is that of its ``first`` piece (paper), or the ``mean`` of all.
        word_shape: Adds an embedding of the word's shape (capitals, digits) to the input of the
            encoder, which an uncased one would not see.
        label_embedding: Width of the tag embedding; 0 leaves it out (ablation).
        hidden: Width between the two layers of each projection.
        width: Width ``m`` of the projections, the input of the biaffine form.
        dropout: Fraction of units dropped in the heads.
        projection: ``two`` networks for head and tail, one ``shared``, or ``none`` (ablations).
        bilinear: False leaves the term ``h^T U t`` out (ablation).
        context: Width of the pooled words between two entities, which with their distance adds to
            the biaffine score; 0 leaves both out (paper).
        decoding: ``constrained`` to legal BIOES sequences (Viterbi), or ``argmax`` as in the paper.
        candidates: Source of the relation candidates in training: ``predicted`` (paper), ``gold``,
            or ``both``.
        never_adjacent: Entity types of which the gold has no two side by side; such predictions
            are joined. Learnt in training; nothing is joined with ``argmax``.
        legal_pairs: Only relations that the schema allows between two types can be predicted.
        max_pieces: Longest encoder window in word pieces; None is the encoder's own limit.
        max_candidates: Most candidate entities of a sentence in training; gold ones come first.

    Raises:
        ConfigError: if a width, a share or a choice is out of range.
    """

    schema: LabelSchema
    encoder: str = "minilm"
    pooling: Pooling = "mean"
    word_shape: bool = True
    label_embedding: int = 128
    hidden: int = 512
    width: int = 256
    dropout: float = 0.1
    projection: Projection = "two"
    bilinear: bool = True
    context: int = 64
    decoding: Decoding = "constrained"
    candidates: Candidates = "both"
    never_adjacent: tuple[str, ...] = ()
    legal_pairs: bool = True
    max_pieces: int | None = None
    max_candidates: int = 256

    def __post_init__(self) -> None:
        if not self.schema.entity_types:
            raise ConfigError("the schema names no entity type; a model needs at least one")
        for name, lowest in (("label_embedding", 0), ("context", 0), ("hidden", 1), ("width", 1)):
            if getattr(self, name) < lowest:
                raise ConfigError(f"{name} must be at least {lowest}, found {getattr(self, name)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must be in [0, 1), found {self.dropout}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} must be one of {', '.join(choices)}")
        unknown = sorted(set(self.never_adjacent) - set(self.schema.entity_types))
        if unknown:
            raise ConfigError(f"never_adjacent names no entity types: {', '.join(unknown)}")
        if self.max_pieces is not None and self.max_pieces < 8:
            raise ConfigError(f"max_pieces must be at least 8, found {self.max_pieces}")
        if self.max_candidates < 2:
            raise ConfigError(f"max_candidates must be at least 2, found {self.max_candidates}")

    @property
    def tags(self) -> tuple[str, ...]:
        """The BIOES tags in class order, ``O`` first, then ``B- I- E- S-`` of each type."""
        return tag_names(self.schema.entity_types)

    @property
    def relation_classes(self) -> tuple[str, ...]:
        """The relation classes in order: ``NEG``, then the schema's relation types."""
        return (NEGATIVE, *self.schema.relation_types)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with the format version."""
        values = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name != "schema"
        }
        return {"format_version": FORMAT_VERSION, "schema": self.schema.to_json(), **values}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ModelConfig:
        """Read what ``to_json`` wrote.

        Raises:
            ConfigError: if the format version is another one, a key is unknown, missing or wrong.
        """
        found = value.get("format_version")
        if found != FORMAT_VERSION:
            raise ConfigError(f"model format version {found!r}, expected {FORMAT_VERSION}")
        if "schema" not in value:
            raise ConfigError("a model configuration needs the key schema")
        rest = {key: item for key, item in value.items() if key not in ("format_version", "schema")}
        unknown = sorted(set(rest) - {field.name for field in fields(cls)})
        if unknown:
            raise ConfigError(f"unknown keys in a model configuration: {', '.join(unknown)}")
        try:
            rest["never_adjacent"] = tuple(rest.get("never_adjacent", ()))
            return cls(schema=LabelSchema.from_json(value["schema"]), **rest)
        except (TypeError, AttributeError) as error:
            raise ConfigError("a value in the model configuration has the wrong type") from error
