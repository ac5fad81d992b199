"""What people kept and changed of the labels that they were shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from annotator.domain import Entity, Relation

__all__ = ["Corrections", "compare_labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Counts of labels that were kept and changed. Relabelled or re-bounded ones were not kept.

    A relation is re-bounded if it still joins the same two entities and one of these was.
    """

    entities_kept: int
    entities_relabelled: int
    entities_rebounded: int
    entities_removed: int
    entities_added: int
    relations_kept: int
    relations_relabelled: int
    relations_rebounded: int
    relations_removed: int
    relations_added: int

    def to_json(self) -> dict[str, int]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def compare_labels(
    predicted: tuple[Sequence[Entity], Sequence[Relation]],
    labelled: tuple[Sequence[Entity], Sequence[Relation]],
) -> Corrections:
    """Compare entities by id first, then by span and type; relations by the entities they join.

    Label Studio reports neither deletions nor relations, and its ``origin`` is unreliable, so
    everything is computed from the two sides.
    """
    before = {entity.id: entity for entity in predicted[0]}
    after = {entity.id: entity for entity in labelled[0]}
    same = _match(before, after)
    pairs = [(before[old], after[new]) for old, new in same.items()]
    kept = sum(_span(old) == _span(new) and old.type == new.type for old, new in pairs)
    relabelled = sum(old.type != new.type for old, new in pairs)
    moved = {new.id for old, new in pairs if _span(old) != _span(new)}
    return Corrections(
        entities_kept=kept,
        entities_relabelled=relabelled,
        entities_rebounded=len(pairs) - kept - relabelled,
        entities_removed=len(before) - len(pairs),
        entities_added=len(after) - len(pairs),
        **_compare_relations(
            _facts(predicted[1], same),
            _facts(labelled[1], {new: new for new in after}),
            moved=moved,
        ),
    )


def _match(before: Mapping[str, Entity], after: Mapping[str, Entity]) -> dict[str, str]:
    """Return which entity became which: by id, the rest by span and type, one to one."""
    same = {id_: id_ for id_ in before if id_ in after}
    by_span: dict[tuple[int, int, str], list[str]] = {}
    for entity in after.values():
        if entity.id not in same:
            by_span.setdefault((*_span(entity), entity.type), []).append(entity.id)
    for entity in before.values():
        if entity.id not in same and (found := by_span.get((*_span(entity), entity.type))):
            same[entity.id] = found.pop(0)
    return same


def _span(entity: Entity) -> tuple[int, int]:
    return entity.start, entity.end


def _facts(
    relations: Sequence[Relation], names: Mapping[str, str]
) -> set[tuple[str, str, str | None]]:
    """Return head, tail and type of relations, with ends renamed to what they became.

    An end that was removed gets a name that nothing else has.
    """
    return {
        (names.get(r.head, f"gone {r.head}"), names.get(r.tail, f"gone {r.tail}"), r.type)
        for r in relations
    }


def _compare_relations(
    old: set[tuple[str, str, str | None]],
    new: set[tuple[str, str, str | None]],
    *,
    moved: set[str],
) -> dict[str, int]:
    stayed = old & new
    rebounded = sum(head in moved or tail in moved for head, tail, _ in stayed)
    lost = Counter((head, tail) for head, tail, _ in old - new)
    made = Counter((head, tail) for head, tail, _ in new - old)
    relabelled = (lost & made).total()
    return {
        "relations_kept": len(stayed) - rebounded,
        "relations_relabelled": relabelled,
        "relations_rebounded": rebounded,
        "relations_removed": lost.total() - relabelled,
        "relations_added": made.total() - relabelled,
    }
