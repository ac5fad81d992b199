"""What an annotator changed: a prediction and the labels that came of it, compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotator.domain import Entity, Relation

__all__ = ["Corrections", "compare_labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Counts of what was kept and changed. A relabelled or re-bounded entity is not kept."""

    entities_kept: int
    entities_relabelled: int
    entities_rebounded: int
    entities_removed: int
    entities_added: int
    relations_kept: int
    relations_removed: int
    relations_added: int

    def to_json(self) -> dict[str, int]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def compare_labels(
    predicted: tuple[Sequence[Entity], Sequence[Relation]],
    labelled: tuple[Sequence[Entity], Sequence[Relation]],
) -> Corrections:
    """Compare entities by id first, then by span and type; relations by their ends' spans.

    Label Studio says nothing about deletions and relations, and its ``origin`` cannot be relied
    upon, so everything is computed from the two sides.
    """
    before, after = list(predicted[0]), list(labelled[0])
    kept = relabelled = rebounded = 0
    rest_after = {entity.id: entity for entity in after}
    unmatched: list[Entity] = []
    for entity in before:
        other = rest_after.get(entity.id)
        if other is None:
            unmatched.append(entity)
            continue
        del rest_after[entity.id]
        same_span = (entity.start, entity.end) == (other.start, other.end)
        kept += same_span and entity.type == other.type
        relabelled += entity.type != other.type
        rebounded += not same_span and entity.type == other.type
    by_span = {(e.start, e.end, e.type): e.id for e in rest_after.values()}
    removed = 0
    for entity in unmatched:
        match = by_span.pop((entity.start, entity.end, entity.type), None)
        if match is None:
            removed += 1
        else:
            kept += 1
            del rest_after[match]
    old, new = _facts(before, predicted[1]), _facts(after, labelled[1])
    return Corrections(
        entities_kept=kept,
        entities_relabelled=relabelled,
        entities_rebounded=rebounded,
        entities_removed=removed,
        entities_added=len(rest_after),
        relations_kept=len(old & new),
        relations_removed=len(old - new),
        relations_added=len(new - old),
    )


def _facts(
    entities: Sequence[Entity], relations: Sequence[Relation]
) -> set[tuple[str | None, int, int, int, int]]:
    spans = {entity.id: (entity.start, entity.end) for entity in entities}
    return {
        (relation.type, *spans[relation.head], *spans[relation.tail])
        for relation in relations
        if relation.head in spans and relation.tail in spans
    }
