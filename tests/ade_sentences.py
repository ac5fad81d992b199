"""Sentences of the ADE corpus, read where it lies; it is never committed."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_bert import make_tagged

from annotator.domain import LabelSchema, TaggedSentence

ADE = LabelSchema(
    entity_types=("Adverse-Effect", "Drug"),
    relation_types=("Adverse-Effect",),
    pairs=frozenset({("Adverse-Effect", "Adverse-Effect", "Drug")}),
)


def read_flat(path: Path, n_sentences: int) -> list[TaggedSentence]:
    """The first sentences of the file that have no overlapping entities."""
    found = []
    for record in json.loads(path.read_text()):
        spans = [(e["type"], e["start"], e["end"] - 1) for e in record["entities"]]
        covered = [n for _, first, last in spans for n in range(first, last + 1)]
        if len(covered) == len(set(covered)) and not any(" " in w for w in record["tokens"]):
            triples = {(r["type"], r["head"], r["tail"]) for r in record["relations"]}
            text = " ".join(record["tokens"])
            sentence = make_tagged(text, *spans, relations=tuple(sorted(triples)))
            found.append(sentence)
        if len(found) == n_sentences:
            break
    return found
