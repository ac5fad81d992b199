"""The two parts of a hold-out: one for fitting and choosing, one only for measuring. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from annotator.domain import TaggedSentence

__all__ = ["split_holdout"]

_DEV_SHARE = 1 / 3
_FEWEST = 20  # sentences of either part


def split_holdout(
    sentences: Sequence[TaggedSentence],
) -> tuple[tuple[TaggedSentence, ...], tuple[TaggedSentence, ...]]:
    """Split a hold-out by group into dev, about a third, and test.

    A group always falls into the same part, whatever the other groups are. If either part would
    have fewer than 20 sentences, all are test: measuring matters more than fitting a temperature.
    """
    dev = {group for group in {s.group or s.id for s in sentences} if _is_dev(group)}
    parts: tuple[list[TaggedSentence], list[TaggedSentence]] = ([], [])
    for sentence in sentences:
        parts[(sentence.group or sentence.id) not in dev].append(sentence)
    if min(len(part) for part in parts) < _FEWEST:
        return (), tuple(sentences)
    return tuple(parts[0]), tuple(parts[1])


def _is_dev(group: str) -> bool:
    digest = hashlib.sha256(f"dev:{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < _DEV_SHARE
