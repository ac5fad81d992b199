"""The rule-based sentence splitter for clinical notes and biomedical prose.

Lines come first: blank lines, bullets, enumerators, headings and ``Label: value`` lines are
boundaries; any other single line break is taken for wrapping. Inside such a block a run of ``.``,
``!`` or ``?`` before white space is a boundary unless the context speaks against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from annotator.domain import Sentence
from annotator.text.abbreviations import (
    ABBREVIATIONS,
    ACRONYMS,
    NUMBERED,
    OPENERS,
    SCHEDULES,
    TITLES,
)

__all__ = ["split_sentences"]

# A pattern that starts with one character class is found several times as fast.
_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029](?:(?<=\r)\n)?")
_ITEM = re.compile(r"(?:[-*•·‣▪◦●–—]|\(?\d{1,3}[.)]|\(?[A-Za-z]\)|#\s?\d*)\s+\S")  # noqa: RUF001
_LABEL = re.compile(r"[A-Z][A-Za-z0-9/&() .-]{0,30}:(?=\s)")
_END = re.compile(
    r"[.!?…](?:(?<![.!?…][.!?…])[.!?…]*+[\"'”’»)\]]*+(?=\s)"  # noqa: RUF001
    r"|(?<=[a-z]{3}[.!?])(?=[A-Z][a-z]))"
)
_OPENING = "\"'“‘«([{"  # noqa: RUF001
_START = re.compile(r"\s*[\"'“‘«(\[{]*")  # noqa: RUF001
_WORD = re.compile(r"\w{1,40}")
_SYMBOL = re.compile(r"[a-z]{1,4}-?[A-Z0-9]")  # p53, mRNA, siRNA, c-Myc, miR-21
_ENUMERATOR = re.compile(r"\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})")
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]{1,2}")
_LOOK_BACK = 40
_BRACKET_REACH = 300
_MAX_HEADING = 60
_SHORT_LINE = 0.6  # of the widest line of its block: a shorter line has ended rather than wrapped


def split_sentences(text: str) -> tuple[Sentence, ...]:
    """Split ``text`` into sentences without surrounding white space.

    Every character that is not white space is in exactly one sentence; a text of only white space
    has none. Linear in the length.
    """
    sentences: list[Sentence] = []
    for block_start, block_end in _blocks(text):
        for start, end in _cut_block(text, block_start, block_end):
            piece = text[start:end]
            stripped = piece.lstrip()
            if stripped:
                first = start + len(piece) - len(stripped)
                sentences.append(Sentence(start=first, end=first + len(stripped.rstrip())))
    return tuple(sentences)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans of whole lines; no sentence crosses from one to the next."""
    paragraph: list[tuple[int, int]] = []
    start = 0
    for end, following in _line_ends(text):
        if text[start:end].strip():
            paragraph.append((start, end))
        else:
            yield from _cut_paragraph(text, paragraph)
            paragraph = []
        start = following
    yield from _cut_paragraph(text, paragraph)


def _line_ends(text: str) -> Iterator[tuple[int, int]]:
    for match in _LINE_BREAK.finditer(text):
        yield match.start(), match.end()
    yield len(text), len(text)


def _cut_paragraph(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the blocks in a run of lines without a blank one."""
    if not spans:
        return
    lines = [text[start:end].strip() for start, end in spans]
    headings = _headings(lines)
    width = max(map(len, lines))
    first = 0
    for i in range(1, len(lines)):
        if (
            headings[i - 1]
            or (headings[i] and not lines[i][0].islower())
            or _ITEM.match(lines[i])
            or _LABEL.match(lines[i])
            or _is_ended(lines[i - 1], lines[i], width)
        ):
            yield spans[first][0], spans[i - 1][1]
            first = i
    yield spans[first][0], spans[-1][1]


def _headings(lines: list[str]) -> list[bool]:
    capitals = [_is_capitals(line) for line in lines]
    return [
        len(line) <= _MAX_HEADING
        and (
            line.endswith(":")
            or (
                capitals[i]
                and not any(capitals[max(i - 1, 0) : i])  # a note all in capitals has no headings
                and not any(capitals[i + 1 : i + 2])
            )
        )
        for i, line in enumerate(lines)
    ]


def _is_capitals(line: str) -> bool:
    return line.isupper() and not line.endswith((".", ",", ";")) and sum(map(str.isalpha, line)) > 3


def _is_ended(line: str, following: str, width: int) -> bool:
    """Return whether ``line`` ends early: the capitalised word that starts the next would fit."""
    if not following[0].isupper() or line.endswith((",", ";", "-", "/", "(")):
        return False
    word = following.split(None, 1)[0]
    return len(line) + 1 + len(word) <= _SHORT_LINE * width


def _cut_block(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    depth, seen = 0, start
    for match in _END.finditer(text, start, end):
        stop = match.end()
        opened = text.count("(", seen, stop) + text.count("[", seen, stop)
        closed = text.count(")", seen, stop) + text.count("]", seen, stop)
        depth, seen = max(0, depth + opened - closed), stop
        if depth and _closes_soon(text, stop, min(end, stop + _BRACKET_REACH)):
            continue
        if _is_boundary(text, start, match, end):
            yield start, stop
            start, depth = stop, 0
    yield start, end


def _closes_soon(text: str, start: int, end: int) -> bool:
    return text.find(")", start, end) >= 0 or text.find("]", start, end) >= 0


def _is_boundary(text: str, sentence_start: int, match: re.Match[str], end: int) -> bool:
    """Return whether a terminator, with its closing quotes and brackets, ends a sentence."""
    opening = _START.match(text, match.end(), end)
    position = opening.end() if opening else match.end()
    if position >= end:
        return True
    following = text[position]
    if "!" in match.group() or "?" in match.group():
        return not following.islower()
    before = text[max(sentence_start, match.start() - _LOOK_BACK) : match.start()]
    chunk = before.rsplit(None, 1)[-1] if before.strip() else ""
    word = chunk.lstrip(_OPENING)
    at_start = sentence_start + len(before) == match.start() and before.strip() == chunk
    if at_start and _ENUMERATOR.fullmatch(chunk):
        return False
    if following.islower():
        return bool(_SYMBOL.match(text, position)) and not _is_abbreviation(word)
    if following.isdecimal():
        return not _is_abbreviation(word) and word.lower() not in NUMBERED
    if following in ",;:%/=)]}":
        return False
    next_word = _WORD.match(text, position)
    return _ends_before_capital(word, before, next_word.group() if next_word else "")


def _ends_before_capital(word: str, before: str, next_word: str) -> bool:
    key = word.lower()
    if key in TITLES:
        return word in ACRONYMS
    if key in SCHEDULES:
        return True
    if key in ABBREVIATIONS or _DOTTED.fullmatch(word):
        return next_word in OPENERS
    if len(word) == 1 and word.isupper():
        parts = before.split()
        after_number = len(parts) > 1 and parts[-2][-1].isdecimal()
        return after_number or next_word in OPENERS
    return True


def _is_abbreviation(word: str) -> bool:
    key = word.lower()
    return (
        key in TITLES
        or key in SCHEDULES
        or key in ABBREVIATIONS
        or bool(_DOTTED.fullmatch(word))
        or (len(word) == 1 and word.isalpha() and word.isupper())
    )
