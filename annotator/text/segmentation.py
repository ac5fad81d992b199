"""The sentences and tokens of a document: its own where it has them, else ours."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from annotator.domain import Document, Sentence, Token
from annotator.text.sentences import split_sentences
from annotator.text.tokens import count_tokens, tokenize

__all__ = ["Segmentation", "count_words", "segment_document"]

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Sentences that hold at least one token, and all their tokens in order of position.

    ``token_sentences`` is the sentence index of each token, ``first_tokens`` the index of each
    sentence's first token.
    """

    sentences: tuple[Sentence, ...]
    tokens: tuple[Token, ...]
    token_sentences: tuple[int, ...]
    first_tokens: tuple[int, ...]

    def sentence_tokens(self, i_sentence: int) -> tuple[Token, ...]:
        """Return the tokens of one sentence."""
        following = self.first_tokens[i_sentence + 1 : i_sentence + 2]
        stop = following[0] if following else len(self.tokens)
        return self.tokens[self.first_tokens[i_sentence] : stop]


def segment_document(document: Document) -> tuple[Segmentation, tuple[tuple[str, str], ...]]:
    """Split and tokenise ``document``.

    ``meta["tokens"]`` and ``meta["sentences"]`` are used where they are ordered, disjoint spans
    inside the text, tokens hold no white space, and no token straddles a sentence boundary.

    Returns:
        The segmentation, and ``(meta key, reason)`` for each key that could not be used.
    """
    sentences, tokens, unusable = _find_spans(document)
    return _assemble(document, sentences, tokens), unusable


def count_words(document: Document) -> list[tuple[Sentence, int]]:
    """Return the sentences of ``segment_document``, each with its number of tokens.

    Creates no tokens, for callers that need only the counts.
    """
    spans, tokens, _ = _find_spans(document)
    starts = [start for start, _ in tokens or ()]
    counts = [
        count_tokens(document.text, start, end)
        if tokens is None
        else bisect_left(starts, end) - bisect_left(starts, start)
        for start, end in spans
    ]
    return [
        (Sentence(start=start, end=end), n)
        for (start, end), n in zip(spans, counts, strict=True)
        if n
    ]


def _find_spans(
    document: Document,
) -> tuple[list[Span], list[Span] | None, tuple[tuple[str, str], ...]]:
    """Return sentences, the document's own tokens if usable, and the unusable keys."""
    unusable: list[tuple[str, str]] = []
    tokens = _meta_spans(document, "tokens", unusable)
    if tokens is not None and any(_has_blank(document.text[a:b]) for a, b in tokens):
        unusable.append(("tokens", "a token holds white space"))
        tokens = None
    sentences = _meta_spans(document, "sentences", unusable)
    if sentences is not None and tokens is not None and _straddling(tokens, sentences):
        unusable.append(("sentences", "a token does not lie inside one sentence"))
        sentences = None
    if sentences is None:
        sentences = [(s.start, s.end) for s in split_sentences(document.text)]
        if tokens is not None:
            sentences = list(_join_at(tokens, sentences))
    return sentences, tokens, tuple(unusable)


def _assemble(document: Document, sentences: list[Span], tokens: list[Span] | None) -> Segmentation:
    kept: list[Sentence] = []
    all_tokens: list[Token] = []
    token_sentences: list[int] = []
    first_tokens: list[int] = []
    starts = [start for start, _ in tokens or ()]
    for start, end in sentences:
        if tokens is None:
            inside = tokenize(document.text, start, end)
        else:
            span = slice(bisect_left(starts, start), bisect_left(starts, end))
            inside = tuple(Token(start=a, end=b) for a, b in tokens[span])
        if inside:
            first_tokens.append(len(all_tokens))
            all_tokens.extend(inside)
            token_sentences.extend([len(kept)] * len(inside))
            kept.append(Sentence(start=start, end=end))
    return Segmentation(
        sentences=tuple(kept),
        tokens=tuple(all_tokens),
        token_sentences=tuple(token_sentences),
        first_tokens=tuple(first_tokens),
    )


def _meta_spans(document: Document, key: str, unusable: list[tuple[str, str]]) -> list[Span] | None:
    value = document.meta.get(key)
    if value is None:
        return None
    spans = _as_spans(value)
    if spans is None:
        unusable.append((key, "expected a list of [start, end] pairs of whole numbers"))
        return None
    reached = 0
    for i, (start, end) in enumerate(spans):
        if not reached <= start < end <= len(document.text):
            unusable.append((key, f"span {i} is empty, out of order or outside the text"))
            return None
        reached = end
    return spans


def _as_spans(value: Any) -> list[Span] | None:
    if not isinstance(value, (list, tuple)):
        return None
    spans: list[Span] = []
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            return None
        if any(type(offset) is not int for offset in pair):
            return None
        spans.append((pair[0], pair[1]))
    return spans


def _has_blank(word: str) -> bool:
    return any(char.isspace() for char in word)


def _straddling(tokens: list[Span], sentences: list[Span]) -> bool:
    starts = [start for start, _ in sentences]
    for start, end in tokens:
        i = bisect_right(starts, start) - 1
        if i < 0 or end > sentences[i][1]:
            return True
    return False


def _join_at(tokens: list[Span], sentences: list[Span]) -> Iterator[Span]:
    """Join neighbouring sentences wherever a given token spans both."""
    starts = [start for start, _ in tokens]
    joined: Span | None = None
    for start, end in sentences:
        if joined is None:
            joined = (start, end)
            continue
        i = bisect_left(starts, start) - 1
        if i >= 0 and tokens[i][1] > start:
            joined = (joined[0], end)
        else:
            yield joined
            joined = (start, end)
    if joined is not None:
        yield joined
