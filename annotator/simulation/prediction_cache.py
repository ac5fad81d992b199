"""What a round's model predicted of the test part, kept until the next one is compared with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from annotator.active.agreement import SeenSentence
from annotator.domain import TaggedSentence, WordEntity, WordRelation
from annotator.experiments.record import write_atomically
from annotator.model import SentencePrediction

__all__ = ["load_seen", "save_seen", "to_seen"]


def to_seen(
    predicted: Sequence[SentencePrediction], sentences: Sequence[TaggedSentence]
) -> list[SeenSentence]:
    """Take from predictions what is compared."""
    return [
        SeenSentence(n_words=len(of.words), entities=one.entities, relations=one.relations)
        for one, of in zip(predicted, sentences, strict=True)
    ]


def save_seen(path: Path, seen: Sequence[SeenSentence]) -> None:
    """Write a file, whole or not at all."""
    rows = [
        [
            one.n_words,
            [[e.type, e.first, e.last] for e in one.entities],
            [[r.type, r.head, r.tail] for r in one.relations],
        ]
        for one in seen
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(rows) + "\n")


def load_seen(path: Path) -> list[SeenSentence] | None:
    """Read what ``save_seen`` wrote; None if it is absent or damaged."""
    try:
        return [
            SeenSentence(
                n_words=n_words,
                entities=[WordEntity(type=t, first=a, last=b) for t, a, b in entities],
                relations=[WordRelation(type=t, head=a, tail=b) for t, a, b in relations],
            )
            for n_words, entities, relations in json.loads(path.read_bytes())
        ]
    except (OSError, ValueError, TypeError):
        return None
