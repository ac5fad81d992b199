"""The bundled notes in their roles: a third as gold and hold-out, the rest to be labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotator.domain import Document, Entity, Relation
from annotator.formats import read_corpus
from annotator.resources import sample_file

__all__ = ["DemoCorpus", "read_notes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoCorpus:
    """Documents by role. ``gold`` and ``holdout`` together are a third of the notes."""

    gold: Sequence[Document]
    holdout: Sequence[Document]
    pool: Sequence[Document]

    def labels_of(
        self, document: str, *, start: int, length: int
    ) -> tuple[list[Entity], list[Relation]]:
        """Return the sample's own labels of a region; offsets count from its start.

        Relations that leave the region are dropped, as nobody who sees only the region could draw
        them.
        """
        source = next(d for d in self.pool if d.id == document)
        entities = [
            Entity(id=e.id, type=e.type, start=e.start - start, end=e.end - start)
            for e in source.entities
            if start <= e.start and e.end <= start + length
        ]
        ids = {e.id for e in entities}
        relations = [r for r in source.relations if r.head in ids and r.tail in ids]
        return entities, relations


def read_notes() -> DemoCorpus:
    """Read the bundled sample and assign roles: of nine notes two gold, one hold-out, six pool."""
    documents = read_corpus("jsonl", sample_file()).documents
    roles: dict[str, list[Document]] = {"gold": [], "holdout": [], "pool": []}
    deal = ("gold", "pool", "pool", "holdout", "pool", "pool", "gold", "pool", "pool")
    for i, document in enumerate(documents):
        roles[deal[i % len(deal)]].append(document)
    return DemoCorpus(
        gold=tuple(roles["gold"]), holdout=tuple(roles["holdout"]), pool=tuple(roles["pool"])
    )
