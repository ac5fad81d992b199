"""Moves the edges of a drawn span to words, as the hand meant them. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from annotator.domain import Token

__all__ = ["snap_span"]

_SLIP = 2  # letters that a hand is off by; more is a cut inside a word
_SEPARATORS = frozenset(",;:")
# Thai, Lao, Tibetan, Burmese, Khmer, kana and ideographs: one token may hold many words.
_NO_BLANKS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)


def snap_span(
    text: str, start: int, end: int, *, starts: Sequence[int], ends: Sequence[int], trim: bool
) -> tuple[int, int] | None:
    """Return the first and last token of ``text[start:end]``, or None if that is no run of tokens.

    ``starts`` and ``ends`` are the offsets of all tokens of ``text``. Blanks at an edge count for
    nothing. A token that the span holds most of, but for two letters, is taken whole; one that it
    holds little of, at most two letters, is left out. ``trim`` leaves out commas, semicolons and
    colons at an edge.
    """
    first, last = bisect_right(ends, start), bisect_left(starts, end) - 1
    if first > last:
        return None
    for i in {first, last}:
        token = Token(start=starts[i], end=ends[i])
        held = min(end, token.end) - max(start, token.start)
        missing = token.end - token.start - held
        if not missing:
            continue
        if _NO_BLANKS.search(text, token.start, token.end):
            return None
        if held > missing and missing <= _SLIP:
            continue
        if held > _SLIP or first == last:
            return None
        first, last = first + (i == first), last - (i == last)
    while trim and first < last and text[starts[first] : ends[first]] in _SEPARATORS:
        first += 1
    while trim and first < last and text[starts[last] : ends[last]] in _SEPARATORS:
        last -= 1
    return (first, last) if first <= last else None
