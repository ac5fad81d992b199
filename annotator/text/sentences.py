"""The rule-based sentence splitter for clinical notes and biomedical prose.

Lines come first: blank lines, bullets, enumerators, headings and ``Label: value`` lines are
boundaries, and so is each line break of a list (one drug or one value a line); any other single
line break is taken for wrapping. Inside such a block a run of ``.``, ``!`` or ``?`` before white
space is a boundary unless the context speaks against it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from annotator.domain import Sentence
from annotator.text.abbreviations import (
    ABBREVIATIONS,
    ACRONYMS,
    CLASSIFIERS,
    DOMAINS,
    NUMBERED,
    OPENERS,
    SCHEDULES,
    TITLES,
)

__all__ = ["split_sentences"]

# A pattern that starts with one character class is found several times as fast.
_LINE_BREAK = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029](?:(?<=\r)\n)?")
_ITEM = re.compile(
    r"[-*•·‣▪◦●–—+>]\s+\S"  # noqa: RUF001
    r"|[-•·‣▪◦●+](?=[A-Za-z]{2})|\[[ xX]?\]|#\s?\w"
    r"|\(?\d{1,3}[.)](?:\s+\S|(?=[A-Za-z]))"
    r"|\(?(?:[A-Za-z]|[ivx]{2,4})\)\s+\S|(?:[a-z]|[ivx]{2,4})\.\s+[A-Z]|o\s+[A-Z]"
)
_LABEL = re.compile(r"[A-Z][A-Za-z0-9/&() .-]{0,30}:(?=\s)")
_END = re.compile(
    r"[.!?…](?:(?<![.!?…][.!?…])[.!?…]*+[\"'”’»)\]]*+(?:\[\d[\d,–-]*\])?(?=\s)"  # noqa: RUF001
    r"|(?<=[a-z]{3}[.!?])(?=[A-Z][a-z]))"
)
_OPENING = "\"'“‘«([{"  # noqa: RUF001
_START = re.compile(r"\s*[\"'“‘«(\[{]*")  # noqa: RUF001
_WORD = re.compile(r"\w{1,40}")
_SYMBOL = re.compile(r"[a-z]{1,4}-?[A-Z0-9]")  # p53, mRNA, siRNA, c-Myc, miR-21
_ENUMERATOR = re.compile(r"\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})")
_DOTTED = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]{1,2}")
_LOOK_BACK = 40
_BRACKET = re.compile(r"[()\[\]]")
_BRACKET_REACH = 300
_MAX_HEADING = 60
_NARROW = 40  # characters; prose is hardly ever wrapped to less
_GOES_ON = re.compile(
    r"(?:[,;/(&-]|\b(?:a|after|an|and|are|as|at|because|before|but|by|due|during|for|from|had|has"
    r"|have|her|his|if|in|into|is|its|of|on|or|over|since|than|that|the|their|these|this|through|to"
    r"|under|until|was|were|when|which|while|who|with|without|Drs?\.|Mrs?\.|Ms\.|Prof\.|St\.))$"
)
_ADDRESS = re.compile(r"[@/\\_]|^[wW]{3}\b")
_NAMED = re.compile(
    r"(?:Case|Fig|Figure|Part|Patient|Problem|Specimen|Step|Table)\.?\s+#?(?:\d{1,3}|[A-Z])"
)
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
    listed = _is_list(lines, width)
    first = 0
    for i in range(1, len(lines)):
        if (
            headings[i - 1]
            or (headings[i] and not lines[i][0].islower())
            or _ITEM.match(lines[i])
            or _LABEL.match(lines[i])
            or _is_ended(lines[i - 1], lines[i], width)
            or (listed and not _GOES_ON.search(lines[i - 1]))
            or (_is_values(lines[i - 1]) and _is_values(lines[i]))
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


def _is_list(lines: list[str], width: int) -> bool:
    """Return whether each line stands for itself.

    Lines of wrapped prose begin in lower case now and then, and none has room for the next word.
    """
    if len(lines) == 1 or all(line.isupper() for line in lines):
        return False
    n_lower = sum(line[0].islower() for line in lines)
    if n_lower:
        return n_lower == len(lines) > 2 and width < _NARROW
    return width < _NARROW or any(
        len(line) + 1 + len(following.split(None, 1)[0]) <= width
        for line, following in pairwise(lines)
    )


def _is_values(line: str) -> bool:
    """Return whether a line is of a table of values: capitals and many digits."""
    return line.isupper() and 6 * sum(map(str.isdecimal, line)) > len(line)


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
    """Return whether a bracket is closed that was open at ``start``."""
    if text.find(")", start, end) < 0 and text.find("]", start, end) < 0:
        return False
    depth = 1
    for match in _BRACKET.finditer(text, start, end):
        depth += 1 if match.group() in "([" else -1
        if not depth:
            return True
    return False


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
    if sentence_start + len(before) == match.start() and _is_enumerator(before, chunk):
        return False
    found = _WORD.match(text, position)
    next_word = found.group() if found else ""
    if position == match.end():
        return _ends_before_glued(word, next_word)
    if following.islower():
        symbol = _SYMBOL.match(text, position) or _is_lower_style(text, sentence_start, word)
        return bool(symbol) and not _is_abbreviation(word)
    if following.isdecimal():
        return not _is_abbreviation(word) and word.lower() not in NUMBERED
    if following == "#":
        return not _is_abbreviation(word)
    if following in ",;:%/=)]}":
        return False
    return _ends_before_capital(word, before, next_word)


def _is_enumerator(before: str, chunk: str) -> bool:
    """Return whether all that a sentence has so far is a number or a name such as ``Table 2``."""
    words = before.strip()
    return bool((words == chunk and _ENUMERATOR.fullmatch(chunk)) or _NAMED.fullmatch(words))


def _ends_before_glued(word: str, next_word: str) -> bool:
    """Return whether a full stop without a blank after it ends a sentence.

    It does not inside an address or a name of two capitalised parts, as bacteria have.
    """
    if next_word.lower() in DOMAINS or _ADDRESS.search(word):
        return False
    return not word[:1].isupper() or next_word in OPENERS


def _is_lower_style(text: str, sentence_start: int, word: str) -> bool:
    """Return whether a sentence begins in lower case, and so may the next, after a full word."""
    start = _START.match(text, sentence_start)
    begins = text[start.end() : start.end() + 1] if start else ""
    return begins.islower() and len(word) > 3 and word.isalpha()


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
        last = parts[-2] if len(parts) > 1 else ""
        return last[-1:].isdecimal() or last.lower() in CLASSIFIERS or next_word in OPENERS
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
