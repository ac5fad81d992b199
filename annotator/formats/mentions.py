r"""Offsets from outside: find the unit in which every mention matches, and convert from it.

Programs disagree on what an offset counts: code points, UTF-16 units (JavaScript, Java), UTF-8
bytes (C), or code points or units after ``\r\n`` was read as ``\n``. One document is counted one
way throughout.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from annotator.errors import OffsetError

__all__ = ["ClaimedSpan", "SettledSpans", "reconcile_spans", "same_words", "settle_spans"]

_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedSpan:
    """A span as the source gives it; ``mention`` is None if the source quotes none."""

    id: str
    start: int
    end: int
    mention: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledSpans:
    """The spans of one text, sorted into those that fit and those that do not.

    ``kept`` are in code points; ``counting`` names the unit they came in if it was another one.
    ``misfits`` are as they came and do not match their mention in that unit.
    """

    kept: tuple[ClaimedSpan, ...]
    misfits: tuple[ClaimedSpan, ...]
    counting: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counting:
    name: str
    unit: Literal["code point", "utf-16", "utf-8"]
    crlf_as_one: bool = False


_OTHERS = (
    _Counting(name="UTF-16 units", unit="utf-16"),
    _Counting(name="code points with CR LF as one", unit="code point", crlf_as_one=True),
    _Counting(name="UTF-16 units with CR LF as one", unit="utf-16", crlf_as_one=True),
    _Counting(name="UTF-8 bytes", unit="utf-8"),
)


def reconcile_spans(
    text: str, spans: Sequence[ClaimedSpan]
) -> tuple[tuple[ClaimedSpan, ...], str | None]:
    """Convert ``spans`` to code points.

    Returns:
        The spans in code-point offsets, and the name of the unit they came in (None if nothing had
        to be repaired).

    Raises:
        OffsetError: if no one unit puts every span inside the text and on its mention. The message
            names the first span that does not fit in code points.
    """
    misfit = next((span for span in spans if not _fits(text, span)), None)
    if misfit is None:
        return tuple(spans), None
    for counting in _OTHERS:
        converted = _convert(text, spans, counting)
        if converted is not None:
            return converted, counting.name
    same_offsets = all(_fits(text, span, newlines_alike=True) for span in spans)
    if same_offsets and any(span.mention is not None for span in spans):
        return tuple(spans), "code points, CR LF written as LF in the mention"
    raise OffsetError(_complaint(text, misfit))


def settle_spans(
    text: str,
    spans: Sequence[ClaimedSpan],
    *,
    same: Callable[[str, str], bool] = str.__eq__,
) -> SettledSpans:
    """Convert the spans that fit to code points, and return the others as misfits.

    For files that nobody will correct: the unit in which most mentions match is used for all (code
    points, if none is better), and only spans that fit it are kept. A span without a mention need
    only lie inside the text. ``same`` takes a slice of the text and a mention and returns whether
    they match.
    """
    best = _settle(text, spans, None, same)
    for counting in _OTHERS:
        if not best.misfits:
            break
        found = _settle(text, spans, counting, same)
        if _n_proven(found) > _n_proven(best):
            best = found
    return best


def same_words(found: str, mention: str) -> bool:
    """Return whether a slice is the mention, treating all runs of white space alike."""
    return _BLANKS.sub(" ", found) == _BLANKS.sub(" ", mention)


def _settle(
    text: str,
    spans: Sequence[ClaimedSpan],
    counting: _Counting | None,
    same: Callable[[str, str], bool],
) -> SettledSpans:
    places = None if counting is None else _places(text, counting)
    kept: list[ClaimedSpan] = []
    misfits: list[ClaimedSpan] = []
    for span in spans:
        moved = span if places is None else _move(span, places)
        if moved is not None and _lies_on(text, moved, same):
            kept.append(moved)
        else:
            misfits.append(span)
    name = None if counting is None else counting.name
    return SettledSpans(kept=tuple(kept), misfits=tuple(misfits), counting=name)


def _n_proven(settled: SettledSpans) -> int:
    return sum(span.mention is not None for span in settled.kept)


def _lies_on(text: str, span: ClaimedSpan, same: Callable[[str, str], bool]) -> bool:
    if not 0 <= span.start < span.end <= len(text):
        return False
    return span.mention is None or same(text[span.start : span.end], span.mention)


def _move(span: ClaimedSpan, places: dict[int, int]) -> ClaimedSpan | None:
    if span.start not in places or span.end not in places:
        return None
    return replace(span, start=places[span.start], end=places[span.end])


def _fits(text: str, span: ClaimedSpan, *, newlines_alike: bool = False) -> bool:
    if not 0 <= span.start < span.end <= len(text):
        return False
    if span.mention is None:
        return True
    found = text[span.start : span.end]
    if newlines_alike:
        return found.replace("\r\n", "\n") == span.mention.replace("\r\n", "\n")
    return found == span.mention


def _convert(
    text: str, spans: Sequence[ClaimedSpan], counting: _Counting
) -> tuple[ClaimedSpan, ...] | None:
    if all(span.mention is None for span in spans):
        return None  # no mention to check the guess against
    places = _places(text, counting)
    converted = []
    for span in spans:
        moved = _move(span, places)
        if moved is None or not _fits(text, moved, newlines_alike=counting.crlf_as_one):
            return None
        converted.append(moved)
    return tuple(converted)


def _places(text: str, counting: _Counting) -> dict[int, int]:
    """Map each offset in ``counting`` to the first code-point offset it stands for."""
    places: dict[int, int] = {}
    count = 0
    for i, char in enumerate(text):
        places.setdefault(count, i)
        if counting.crlf_as_one and text.startswith("\r\n", i):
            continue
        count += _size(char, counting.unit)
    places.setdefault(count, len(text))
    return places


def _size(char: str, unit: Literal["code point", "utf-16", "utf-8"]) -> int:
    if unit == "utf-8":
        return len(char.encode("utf-8", "surrogatepass"))
    return 2 if unit == "utf-16" and ord(char) > 0xFFFF else 1


def _complaint(text: str, span: ClaimedSpan) -> str:
    if not 0 <= span.start < span.end:
        return f"entity {span.id} must satisfy 0 <= start < end, found {span.start}..{span.end}"
    if span.end > len(text):
        return f"entity {span.id} ends at {span.end}, past the text (length {len(text)})"
    return (
        f"entity {span.id} at {span.start}..{span.end} does not hold the mention that came along "
        f"({len(span.mention or '')} code points), neither in code points, UTF-16 units nor "
        "UTF-8 bytes, nor with CR LF as one; correct the offsets or the mention"
    )
