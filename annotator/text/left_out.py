"""Why labels are left out of training, in words."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["describe_left_out"]

_WHY = {
    "off_token_edge": "a cut inside a word",
    "crosses_sentence": "an end in another sentence",
    "overlap": "a longer entity over it",
    "several_labels": "a second label on the same words",
    "relation_unlabelled": "a relation without a label",
    "relation_bidirectional": "a relation in both directions",
    "relation_across_sentences": "a relation between sentences",
    "relation_lost_entity": "a relation of an entity left out",
    "duplicate_relation": "a relation drawn twice",
    "unknown_type": "a type that the configuration lacks",
}


def describe_left_out(counts: Mapping[str, int]) -> str:
    """Return counts of issues by kind as words, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{n} for {_WHY.get(kind, kind)}" for kind, n in ordered if n)
