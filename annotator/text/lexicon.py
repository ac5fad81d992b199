"""A lexicon: terms and their types, found in text word by word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from annotator.domain import Token
from annotator.text.tokens import tokenize

__all__ = ["Lexicon", "TermMatch", "term_key"]

_SHORT = 5  # letters; longer words in capitals are shouted rather than abbreviated


@dataclass(frozen=True, slots=True, kw_only=True)
class TermMatch:
    """A term found: ``text[start:end]``, and the type that the lexicon gives it."""

    type: str
    start: int
    end: int


@dataclass(slots=True)
class _Node:
    """Where a walk along the words of terms stands; a term may end here."""

    following: dict[str, _Node] = field(default_factory=dict)
    type: str | None = None
    exact: dict[str, str] = field(default_factory=dict)


def term_key(term: str) -> str:
    """Return what two terms share that are found in the same places; empty if none is.

    The words in lower case; or, of up to five letters that are all capitals, the words as they
    are written: ``ALL`` is a leukaemia and ``all`` is not.
    """
    written = " ".join(term[token.start : token.end] for token in tokenize(term))
    return written if _is_abbreviation(written) else written.casefold()


def _is_abbreviation(written: str) -> bool:
    letters = [char for char in written if char.isalpha()]
    return 0 < len(letters) <= _SHORT and all(char.isupper() for char in letters)


class Lexicon:
    """Terms in a trie over words, so that looking costs the same however many there are.

    Args:
        terms: Terms with their types. Of one that comes twice the last type counts; one without
            a visible character is never found.

    Attributes:
        types: The types of the terms.
    """

    def __init__(self, terms: Iterable[tuple[str, str]]) -> None:
        self._root = _Node()
        self._n = 0
        self.types: set[str] = set()
        for term, type_ in terms:
            self._add(term, type_)

    def __len__(self) -> int:
        return self._n

    def _add(self, term: str, type_: str) -> None:
        key = term_key(term)
        if not key:
            return
        self.types.add(type_)
        node = self._root
        for word in key.split(" "):
            node = node.following.setdefault(word.casefold(), _Node())
        if _is_abbreviation(key):
            self._n += key not in node.exact
            node.exact[key] = type_
        else:
            self._n += node.type is None
            node.type = type_

    def find(self, text: str, tokens: Sequence[Token] | None = None) -> list[TermMatch]:
        """Find terms from left to right, the longest at each place; none overlaps another.

        A term is found where all its words are, whatever the case, and however much white space
        lies between them; short abbreviations in capitals only as they are written. A letter and
        the digit right after it are not cut apart: ``vitamin B`` is not found in ``vitamin B12``.

        Args:
            text: Any text.
            tokens: Its words; by default those of ``tokenize``.
        """
        tokens = tokenize(text) if tokens is None else tokens
        words = [text[token.start : token.end] for token in tokens]
        keys = [word.casefold() for word in words]
        found: list[TermMatch] = []
        i = 0
        while i < len(tokens):
            stop, type_ = self._longest(text, tokens, words, keys, i)
            if type_ is None:
                i += 1
                continue
            found.append(TermMatch(type=type_, start=tokens[i].start, end=tokens[stop - 1].end))
            i = stop
        return found

    def _longest(
        self, text: str, tokens: Sequence[Token], words: list[str], keys: list[str], first: int
    ) -> tuple[int, str | None]:
        node = self._root
        longest: tuple[int, str | None] = (first, None)
        if keys[first] not in node.following or _is_glued(text, tokens[first].start):
            return longest
        for i in range(first, len(tokens)):
            found = node.following.get(keys[i])
            if found is None:
                break
            node = found
            type_ = node.type
            if node.exact:
                type_ = node.exact.get(" ".join(words[first : i + 1]), type_)
            if type_ is not None and not _is_glued(text, tokens[i].end):
                longest = (i + 1, type_)
        return longest


def _is_glued(text: str, at: int) -> bool:
    """Tell whether a letter stands right before ``at`` and a digit right behind it."""
    return 0 < at < len(text) and text[at - 1].isalpha() and text[at].isdecimal()
