r"""Offsets from outside: which counting makes every mention match, and the way back.

Programs disagree on what an offset counts: code points, UTF-16 units (JavaScript, Java), or
either of them after ``\r\n`` was read as ``\n``. One document is counted one way throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from annotator.errors import OffsetError

__all__ = ["ClaimedSpan", "reconcile_spans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedSpan:
    """A span as it came, and the mention that came along (None if none did)."""

    id: str
    start: int
    end: int
    mention: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counting:
    name: str
    utf16: bool
    crlf_as_one: bool


_CODE_POINTS = _Counting(name="code points", utf16=False, crlf_as_one=False)
_OTHERS = (
    _Counting(name="UTF-16 units", utf16=True, crlf_as_one=False),
    _Counting(name="code points with CR LF as one", utf16=False, crlf_as_one=True),
    _Counting(name="UTF-16 units with CR LF as one", utf16=True, crlf_as_one=True),
)


def reconcile_spans(
    text: str, spans: Sequence[ClaimedSpan]
) -> tuple[tuple[ClaimedSpan, ...], str | None]:
    """Bring ``spans`` to code points.

    Returns:
        The spans in code-point offsets, and the name of the counting they came in if it was
        another one (None if nothing had to be repaired).

    Raises:
        OffsetError: if no one counting puts every span inside the text and on its mention. The
            message names the first span that does not fit code points.
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
        return None  # nothing to check a guess against
    places = _places(text, counting)
    converted = []
    for span in spans:
        if span.start not in places or span.end not in places:
            return None
        moved = replace(span, start=places[span.start], end=places[span.end])
        if not _fits(text, moved, newlines_alike=counting.crlf_as_one):
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
        count += 2 if counting.utf16 and ord(char) > 0xFFFF else 1
    places.setdefault(count, len(text))
    return places


def _complaint(text: str, span: ClaimedSpan) -> str:
    if not 0 <= span.start < span.end:
        return f"entity {span.id} must satisfy 0 <= start < end, found {span.start}..{span.end}"
    if span.end > len(text):
        return f"entity {span.id} ends at {span.end}, past the text (length {len(text)})"
    return (
        f"entity {span.id} at {span.start}..{span.end} does not hold the mention that came along "
        f"({len(span.mention or '')} code points), neither in code points nor in UTF-16 units, "
        "nor with CR LF as one; correct the offsets or the mention"
    )
