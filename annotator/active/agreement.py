"""How far two models agree about sentences that nobody has labelled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from annotator.domain import WordEntity, WordRelation
from annotator.text import encode_bioes

__all__ = ["Agreement", "SeenSentence", "compare_models", "kappa", "predicted_delta_f"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSentence:
    """What a model predicts in a sentence."""

    n_words: int
    entities: Sequence[WordEntity]
    relations: Sequence[WordRelation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two successive models compared on the same unlabelled sentences.

    Attributes:
        tags: Cohen's kappa over the words' BIOES tags; None where it is not defined.
        pairs: Cohen's kappa over the decision on each relation type, for all ordered pairs of
            spans that either model takes for an entity; None where it is not defined.
        n_entities: Entities that at least one of the two predicts.
        n_relations: Relations that at least one of the two predicts.
        delta_f: Predicted change of the joint F1, in points; None without entities.
    """

    n_sentences: int
    n_words: int
    tags: float | None
    pairs: float | None
    n_entities: int
    n_relations: int
    delta_f: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Agreement:
        """Read what ``to_json`` returned; other keys are ignored."""
        return cls(**{name: value[name] for name in cls.__slots__})


def kappa(table: Mapping[tuple[Hashable, Hashable], int]) -> float | None:
    """Return Cohen's kappa of two judges (Cohen 1960, equation 1).

    ``table`` counts how often the first judge said one thing and the second another. None where
    kappa is not defined: nothing was judged, or both always said the same thing, so that their
    agreement carries no information.
    """
    n = sum(table.values())
    first, second = Counter[Hashable](), Counter[Hashable]()
    for (one, other), count in table.items():
        first[one] += count
        second[other] += count
    by_chance = sum(first[name] * second[name] for name in first)
    if n == 0 or by_chance == n * n:
        return None
    same = sum(count for (one, other), count in table.items() if one == other)
    return (same * n - by_chance) / (n * n - by_chance)


def predicted_delta_f(*, both: int, before: int, after: int) -> float | None:
    """Return the predicted change of F1 in points (Altschuler and Bloodgood 2019).

    It is the F1 that the older model lacks if the newer one is right wherever they differ. So it
    tends to be too large, and is never negative.

    Args:
        both: Labels that both models predict.
        before: Labels that only the older one predicts.
        after: Labels that only the newer one predicts.

    Returns:
        None where neither predicts anything.
    """
    total = 2 * both + before + after
    return None if total == 0 else 100.0 - 200.0 * both / total


def compare_models(
    before: Sequence[SeenSentence], after: Sequence[SeenSentence], *, n_relation_types: int
) -> Agreement:
    """Compare the predictions of an older model with those of a newer one, sentence by sentence.

    The sentences must come in the same order and be unlabelled for both models: a model agrees
    with what it has learnt. Each relation type of the schema is decided for each pair.
    """
    tags = Counter[tuple[Hashable, Hashable]]()
    entities, relations, n_decisions = [0, 0, 0], [0, 0, 0], 0
    for old, new in zip(before, after, strict=True):
        tags.update(
            zip(
                encode_bioes(old.n_words, old.entities),
                encode_bioes(new.n_words, new.entities),
                strict=True,
            )
        )
        _count(entities, _entities(old), _entities(new))
        _count(relations, _relations(old, _entities(old)), _relations(new, _entities(new)))
        spans = {one[1:] for one in (*_entities(old), *_entities(new))}
        n_decisions += len(spans) * (len(spans) - 1) * n_relation_types
    decided = _decisions(before, after)
    neither = n_decisions - sum(decided.values())
    return Agreement(
        n_sentences=len(after),
        n_words=sum(one.n_words for one in after),
        tags=kappa(tags),
        pairs=kappa({**decided, (False, False): max(0, neither)}),
        n_entities=sum(entities),
        n_relations=sum(relations),
        delta_f=_joint_delta_f(entities, relations),
    )


def _entities(seen: SeenSentence) -> list[tuple[str, int, int]]:
    return [(one.type, one.first, one.last) for one in seen.entities]


def _relations(seen: SeenSentence, ends: Sequence[Hashable]) -> list[Hashable]:
    return [(one.type, ends[one.head], ends[one.tail]) for one in seen.relations]


def _count(totals: list[int], old: Iterable[Hashable], new: Iterable[Hashable]) -> None:
    """Add to the counts of what both, only the older and only the newer predict."""
    first, second = set(old), set(new)
    for i, part in enumerate((first & second, first - second, second - first)):
        totals[i] += len(part)


def _decisions(
    before: Sequence[SeenSentence], after: Sequence[SeenSentence]
) -> dict[tuple[Hashable, Hashable], int]:
    """Count decisions on relations by spans alone, whatever entity types the ends are given."""
    totals = [0, 0, 0]
    for old, new in zip(before, after, strict=True):
        _count(
            totals, *(_relations(one, [key[1:] for key in _entities(one)]) for one in (old, new))
        )
    return dict(zip(((True, True), (True, False), (False, True)), totals, strict=True))


def _joint_delta_f(entities: Sequence[int], relations: Sequence[int]) -> float | None:
    parts = [
        predicted_delta_f(both=both, before=before, after=after)
        for both, before, after in (entities, relations)
    ]
    known = [part for part in parts if part is not None]
    return None if parts[0] is None else sum(known) / len(known)
