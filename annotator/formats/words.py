"""Documents made of words alone, for formats that do not keep the text around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from annotator.domain import Document, Token, WordEntity, WordRelation
from annotator.text import to_entities

__all__ = ["join_words"]


def join_words(
    document_id: str,
    words: Sequence[str],
    entities: Sequence[WordEntity],
    relations: Sequence[WordRelation],
) -> Document:
    """Return a document of one sentence whose text is ``words`` joined by single blanks.

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


def _lay_out(words: Sequence[str]) -> Iterator[Token]:
    start = 0
    for word in words:
        yield Token(start=start, end=start + len(word))
        start += len(word) + 1
