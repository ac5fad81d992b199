"""Documents whose words are given: as a list, or as a text with white space between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from annotator.domain import Document, Token, WordEntity, WordRelation
from annotator.text import to_entities

__all__ = ["join_words", "segment_lines"]

_WORD = re.compile(r"\S+")


def join_words(
    document_id: str,
    words: Sequence[str],
    entities: Sequence[WordEntity],
    relations: Sequence[WordRelation],
) -> Document:
    """Return a document of one sentence whose text is ``words`` joined by single spaces.

    ``meta["tokens"]`` and ``meta["sentences"]`` keep the words as they are.
    """
    tokens = tuple(_lay_out(words))
    text = " ".join(words)
    found, links = to_entities(tokens, entities, relations)
    return Document(
        id=document_id,
        text=text,
        entities=found,
        relations=links,
        meta={
            "tokens": [[token.start, token.end] for token in tokens],
            "sentences": [[0, len(text)]],
        },
    )


def segment_lines(text: str) -> dict[str, Any]:
    r"""Return ``tokens`` and ``sentences`` for the ``meta`` of a text with one sentence per line.

    Tokens are separated by white space as in ``str.split``; only ``\n`` ends a line; a line without
    tokens is not a sentence.
    """
    tokens: list[list[int]] = []
    sentences: list[list[int]] = []
    start = 0
    for line in text.split("\n"):
        found = [[start + match.start(), start + match.end()] for match in _WORD.finditer(line)]
        if found:
            sentences.append([found[0][0], found[-1][1]])
        tokens += found
        start += len(line) + 1
    return {"tokens": tokens, "sentences": sentences}


def _lay_out(words: Sequence[str]) -> Iterator[Token]:
    start = 0
    for word in words:
        yield Token(start=start, end=start + len(word))
        start += len(word) + 1
