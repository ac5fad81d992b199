r"""Offsets from outside: find the unit in which most mentions match, and convert from it.

Programs disagree on what an offset counts: code points, UTF-16 units (JavaScript, Java), UTF-8
bytes (C), code points or units after ``\r\n`` was read as ``\n``, characters composed or
decomposed (macOS), or one more since a byte order mark was counted. One text is counted one way
throughout.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

__all__ = ["ClaimedSpan", "SettledSpans", "same_words", "settle_spans"]

_BLANKS = re.compile(r"\s+")
_CHARS = re.compile(".", re.DOTALL)
_CHARS_CRLF = re.compile(r"\r\n|.", re.DOTALL)
_CHARS_MARKED = re.compile(  # a character with the marks that follow it
    ".[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]*", re.DOTALL
)
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_Unit = Literal["code point", "utf-16", "utf-8", "NFC", "NFD"]


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
    ``differing`` are the ids of those kept whose mention is not what stands there, ``n_proven`` is
    the number of those whose mention is, but for how it is written, and of those where it is so in
    every character. ``misfits`` are as they came.
    """

    kept: tuple[ClaimedSpan, ...]
    misfits: tuple[ClaimedSpan, ...]
    counting: str | None
    differing: frozenset[str]
    n_proven: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counting:
    name: str | None
    unit: _Unit = "code point"
    crlf_as_one: bool = False
    shift: int = 0


_CODE_POINTS = _Counting(name=None)
_OTHERS = (
    _Counting(name="UTF-16 units", unit="utf-16"),
    _Counting(name="code points with CR LF as one", crlf_as_one=True),
    _Counting(name="UTF-16 units with CR LF as one", unit="utf-16", crlf_as_one=True),
    _Counting(name="UTF-8 bytes", unit="utf-8"),
    _Counting(name="composed characters (NFC)", unit="NFC"),
    _Counting(name="decomposed characters (NFD)", unit="NFD"),
    _Counting(name="code points from 1, or with a byte order mark", shift=-1),
)


def settle_spans(
    text: str,
    spans: Sequence[ClaimedSpan],
    *,
    same: Callable[[str, str], bool] = str.__eq__,
    base: int = 0,
) -> SettledSpans:
    """Convert the spans that fit to code points, and return the others as misfits.

    For files that nobody will correct: the unit in which most mentions match is used for all (code
    points, if none is better). ``base`` is what ``start`` may be too small by, since it counts from
    elsewhere. ``same`` takes a slice of the text and a mention and returns whether they match.

    In that unit the position decides: a mention of the same length that differs from the text is
    kept, unless it does not resemble the text there and stands elsewhere, or the span begins or
    ends within a word. A span without a mention need only lie inside the text.
    """
    others = [*_OTHERS]
    if base:
        others.append(_Counting(name="code points from the passage's beginning", shift=base))
    best = _settle(text, spans, _CODE_POINTS, same)
    for counting in others:
        if not best.misfits and not best.differing:
            break
        found = _settle(text, spans, counting, same)
        if found.n_proven > best.n_proven:
            best = found
    return best


def same_words(found: str, mention: str) -> bool:
    """Return whether a slice is the mention, treating all runs of white space alike."""
    return _BLANKS.sub(" ", found) == _BLANKS.sub(" ", mention)


def _settle(
    text: str,
    spans: Sequence[ClaimedSpan],
    counting: _Counting,
    same: Callable[[str, str], bool],
) -> SettledSpans:
    plain = counting.unit == "code point" and not counting.crlf_as_one
    places = None if plain else _places(text, counting)
    folded_text = cache(lambda: _fold(text))
    kept: list[ClaimedSpan] = []
    misfits: list[ClaimedSpan] = []
    differing: set[str] = set()
    n_alike = n_equal = 0
    for span in spans:
        moved = _move(span, counting.shift, places)
        if moved is None or not 0 <= moved.start < moved.end <= len(text):
            misfits.append(span)
            continue
        found, mention = text[moved.start : moved.end], moved.mention
        if mention is None or same(found, mention):
            n_equal += mention is not None
        elif _fold(found) == _fold(mention):
            n_alike += 1
            differing.add(span.id)
        elif _position_decides(text, moved, folded_text):
            differing.add(span.id)
        else:
            misfits.append(span)
            continue
        kept.append(moved)
    return SettledSpans(
        kept=tuple(kept),
        misfits=tuple(misfits),
        counting=counting.name,
        differing=frozenset(differing),
        n_proven=(n_equal + n_alike, n_equal),
    )


def _position_decides(text: str, span: ClaimedSpan, folded_text: Callable[[], str]) -> bool:
    """Return whether a mention may be another way to write the slice, and not a wrong place."""
    found, mention = text[span.start : span.end], span.mention or ""
    if len(found.strip()) != len(mention.strip()):
        return False
    written, wanted = _fold(found), _fold(mention)
    n_alike = sum(a == b for a, b in zip(written, wanted, strict=False))
    if 2 * n_alike >= len(wanted):
        return True
    return not any(_cuts_word(text, i) for i in (span.start, span.end)) and (
        wanted not in folded_text()
    )


def _cuts_word(text: str, i: int) -> bool:
    return text[i - 1 : i].isalnum() and text[i : i + 1].isalnum()


def _fold(text: str) -> str:
    """Return ``text`` without what programs change in quotations: marks, case, dashes, blanks."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    bare = "".join(char for char in plain if not unicodedata.combining(char))
    return _BLANKS.sub(" ", _DASHES.sub("-", bare)).strip()


def _move(span: ClaimedSpan, shift: int, places: Mapping[int, int] | None) -> ClaimedSpan | None:
    start, end = span.start + shift, span.end + shift
    if places is None:
        return replace(span, start=start, end=end)
    if start not in places or end not in places:
        return None
    return replace(span, start=places[start], end=places[end])


def _places(text: str, counting: _Counting) -> dict[int, int]:
    """Map each offset in ``counting`` to the first code-point offset it stands for."""
    places: dict[int, int] = {}
    count = i = 0
    pieces = _CHARS_CRLF if counting.crlf_as_one else _CHARS
    if counting.unit in ("NFC", "NFD"):
        pieces = _CHARS_MARKED
    for piece in pieces.findall(text):
        places.setdefault(count, i)
        count += _size(piece, counting.unit)
        i += len(piece)
    places.setdefault(count, len(text))
    return places


def _size(piece: str, unit: _Unit) -> int:
    if piece == "\r\n":
        return 1
    if unit in ("NFC", "NFD"):
        return len(unicodedata.normalize(unit, piece))
    if unit == "utf-8":
        return len(piece.encode("utf-8", "surrogatepass"))
    return 2 if unit == "utf-16" and ord(piece) > 0xFFFF else 1
