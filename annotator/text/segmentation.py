"""The sentences and tokens of a document: its own where it has them, else ours."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.domain import Document, Sentence, Token
from annotator.text.sentences import split_sentences
from annotator.text.tokens import count_tokens, tokenize

__all__ = ["MAX_WORDS", "Segmentation", "count_length_cuts", "count_words", "segment_document"]

Span = tuple[int, int]

#: Most words of a sentence. The longest of ADE, CDR, ChemProt and CoNLL04 has 339.
MAX_WORDS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """Sentences that hold at least one token, and all their tokens in order of position.

    ``token_sentences`` is the sentence index of each token, ``first_tokens`` the index of each
    sentence's first token. ``n_length_cuts`` counts the cuts that are there only because a
    sentence had more than ``MAX_WORDS`` words.
    """

    sentences: tuple[Sentence, ...]
    tokens: tuple[Token, ...]
    token_sentences: tuple[int, ...]
    first_tokens: tuple[int, ...]
    n_length_cuts: int = 0

    def sentence_tokens(self, i_sentence: int) -> tuple[Token, ...]:
        """Return the tokens of one sentence."""
        following = self.first_tokens[i_sentence + 1 : i_sentence + 2]
        stop = following[0] if following else len(self.tokens)
        return self.tokens[self.first_tokens[i_sentence] : stop]

    def joined_over(self, spans: Iterable[Span]) -> Segmentation:
        """Join sentences wherever one of ``spans``, each a first and last token, lies in both.

        What is then too long is cut anew, outside ``spans`` if it can be. A span of more than
        ``MAX_WORDS`` tokens joins nothing.
        """
        held = {i for a, b in spans if b - a < MAX_WORDS for i in range(a + 1, b + 1)}
        joined = [i for i in self.first_tokens if i not in held]
        if len(joined) == len(self.first_tokens):
            return self
        words = [(token.start, token.end) for token in self.tokens]
        cuts = list(_length_cuts(words, held, joined))
        return self._cut_at(sorted([*joined, *cuts]), n_length_cuts=len(cuts))

    def _cut_at(self, firsts: Sequence[int], *, n_length_cuts: int) -> Segmentation:
        starts = dict(zip(self.first_tokens, self.sentences, strict=True))
        ends = dict(zip((*self.first_tokens[1:], len(self.tokens)), self.sentences, strict=True))
        stops = [*firsts[1:], len(self.tokens)]
        return Segmentation(
            sentences=tuple(
                Sentence(
                    start=starts[first].start if first in starts else self.tokens[first].start,
                    end=ends[stop].end if stop in ends else self.tokens[stop - 1].end,
                )
                for first, stop in zip(firsts, stops, strict=True)
            ),
            tokens=self.tokens,
            token_sentences=tuple(
                i
                for i, (first, stop) in enumerate(zip(firsts, stops, strict=True))
                for _ in range(first, stop)
            ),
            first_tokens=tuple(firsts),
            n_length_cuts=n_length_cuts,
        )


def segment_document(document: Document) -> tuple[Segmentation, tuple[tuple[str, str], ...]]:
    """Split and tokenise ``document``.

    ``meta["tokens"]`` and ``meta["sentences"]`` are used where they are ordered, disjoint spans
    inside the text, tokens hold no white space, and no token straddles a sentence boundary.

    Sentences of more than ``MAX_WORDS`` words are cut, at white space where there is any.

    Returns:
        The segmentation, and ``(meta key, reason)`` for each key that could not be used.
    """
    found = _find_spans(document)
    return _assemble(document, found), found.unusable


def count_words(document: Document) -> list[tuple[Sentence, int]]:
    """Return the sentences of ``segment_document``, each with its number of tokens.

    Creates no tokens, for callers that need only the counts.
    """
    found = _find_spans(document)
    starts = [start for start, _ in found.tokens or ()]
    counts = [
        count_tokens(document.text, start, end)
        if found.tokens is None
        else bisect_left(starts, end) - bisect_left(starts, start)
        for start, end in found.sentences
    ]
    return [
        (Sentence(start=start, end=end), n)
        for (start, end), n in zip(found.sentences, counts, strict=True)
        if n
    ]


def count_length_cuts(document: Document) -> int:
    """Return ``n_length_cuts`` of ``segment_document``; creates no tokens for short texts."""
    return _find_spans(document).n_length_cuts if len(document.text) > MAX_WORDS else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Sentences, the document's own tokens if usable, and the keys of ``meta`` that are not."""

    sentences: list[Span]
    tokens: list[Span] | None
    unusable: tuple[tuple[str, str], ...]
    n_length_cuts: int


def _find_spans(document: Document) -> _Found:
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
    bounded = [part for span in sentences for part in _bound(document.text, span, tokens)]
    return _Found(
        sentences=bounded,
        tokens=tokens,
        unusable=tuple(unusable),
        n_length_cuts=len(bounded) - len(sentences),
    )


def _bound(text: str, span: Span, tokens: list[Span] | None) -> Iterator[Span]:
    """Cut a sentence into parts of at most ``MAX_WORDS`` words."""
    start, end = span
    if end - start > MAX_WORDS:
        if tokens is None:
            words = [(token.start, token.end) for token in tokenize(text, start, end)]
        else:
            words = tokens[bisect_left(tokens, (start,)) : bisect_left(tokens, (end,))]
        for cut in _length_cuts(words, (), [0]):
            stop = words[cut - 1][1]
            yield start, stop
            start = stop + len(text[stop:end]) - len(text[stop:end].lstrip())
    yield start, end


def _length_cuts(
    words: Sequence[Span], held: Container[int], firsts: Sequence[int]
) -> Iterator[int]:
    """Yield before which words to cut so that no sentence has too many.

    ``firsts`` are the first words of the sentences. Words with white space before them are
    preferred, and those in ``held`` spared.
    """
    for first, stop in zip(firsts, (*firsts[1:], len(words)), strict=True):
        place = first
        while stop - place > MAX_WORDS:
            places = range(place + MAX_WORDS, place + MAX_WORDS // 2, -1)
            free = [i for i in places if i not in held] or list(places)
            apart = (i for i in free if words[i - 1][1] < words[i][0])
            place = next(apart, free[0])
            yield place


def _assemble(document: Document, found: _Found) -> Segmentation:
    kept: list[Sentence] = []
    all_tokens: list[Token] = []
    token_sentences: list[int] = []
    first_tokens: list[int] = []
    starts = [start for start, _ in found.tokens or ()]
    for start, end in found.sentences:
        if found.tokens is None:
            inside = tokenize(document.text, start, end)
        else:
            span = slice(bisect_left(starts, start), bisect_left(starts, end))
            inside = tuple(Token(start=a, end=b) for a, b in found.tokens[span])
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
        n_length_cuts=found.n_length_cuts,
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
