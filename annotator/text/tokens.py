"""The lossless tokenizer: runs of letters, runs of digits, and every other visible character alone.

Annotators select parts of what other tokenizers keep whole (``0.5mg``, ``IL-2``, ``p53-/-``), and a
span off a token edge cannot be trained on; so tokens are as fine as a person can sensibly cut.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from annotator.domain import Token

__all__ = ["count_tokens", "tokenize"]

_CHUNK = re.compile(r"\S+")
_ASCII_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")


def tokenize(text: str, start: int = 0, end: int | None = None) -> tuple[Token, ...]:
    """Split ``text[start:end]`` into tokens that hold every non-space character exactly once.

    A token is a run of Unicode letters with their combining marks, a run of decimal digits, or one
    other character that is not white space. Offsets are code points into ``text``, not into the
    slice. ``end`` None means the end of the text. Linear in the length.
    """
    stop = len(text) if end is None else end
    if text[start:stop].isascii():  # one pass instead of one per chunk
        return tuple(
            Token(start=match.start(), end=match.end())
            for match in _ASCII_TOKEN.finditer(text, start, stop)
        )
    return tuple(
        Token(start=first, end=last)
        for chunk in _CHUNK.finditer(text, start, stop)
        for first, last in _cut_chunk(chunk.group(), chunk.start())
    )


def count_tokens(text: str, start: int = 0, end: int | None = None) -> int:
    """Return the number of tokens that ``tokenize`` makes."""
    stop = len(text) if end is None else end
    if text[start:stop].isascii():
        return len(_ASCII_TOKEN.findall(text, start, stop))
    return sum(
        sum(1 for _ in _cut_chunk(chunk.group(), chunk.start()))
        for chunk in _CHUNK.finditer(text, start, stop)
    )


def _cut_chunk(chunk: str, offset: int) -> Iterator[tuple[int, int]]:
    if chunk.isascii():
        for match in _ASCII_TOKEN.finditer(chunk):
            yield offset + match.start(), offset + match.end()
        return
    first, previous = 0, ""
    for i, char in enumerate(chunk):
        kind = _kind(char, after=previous)
        if i and (kind != previous or kind == "other"):
            yield offset + first, offset + i
            first = i
        previous = kind
    yield offset + first, offset + len(chunk)


def _kind(char: str, *, after: str) -> str:
    if char.isalpha():
        return "letter"
    if char.isdecimal():
        return "digit"
    if after == "letter" and unicodedata.category(char).startswith("M"):
        return "letter"
    return "other"
