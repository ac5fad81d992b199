"""A lexicon: terms and their types, matched in text word by word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from annotator.domain import Token
from annotator.text.tokens import tokenize

__all__ = ["Lexicon", "TermMatch", "term_key"]

_SHORT = 5  # letters; longer words in capitals are emphasis rather than abbreviations


@dataclass(frozen=True, slots=True, kw_only=True)
class TermMatch:
    """A term found at ``text[start:end]``, with its type in the lexicon."""

    type: str
    start: int
    end: int


@dataclass(slots=True)
class _Node:
    """A node of the trie over words; a term may end here."""

    following: dict[str, _Node] = field(default_factory=dict)
    type: str | None = None
    exact: dict[str, str] = field(default_factory=dict)


def term_key(term: str) -> str:
    """Return the key of a term; terms with one key match in the same places.

    The words in lower case; or, for up to five letters that are all capitals, the words as written:
    ``ALL`` is a leukaemia and ``all`` is not. Empty for a term without a visible character.
    """
    written = " ".join(term[token.start : token.end] for token in tokenize(term))
    return written if _is_abbreviation(written) else written.casefold()


def _is_abbreviation(written: str) -> bool:
    letters = [char for char in written if char.isalpha()]
    return 0 < len(letters) <= _SHORT and all(char.isupper() for char in letters)


class Lexicon:
    """Terms in a trie over words, so that a search costs the same however many there are.

    Of a term given twice the last type counts; one without a visible character is never found.
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
        """Find terms from left to right, the longest at each place; no two overlap.

        All words of a term must match, in any case and with any amount of white space between them;
        short abbreviations in capitals match only as written. A letter and the digit right after it
        are not separated: ``vitamin B`` is not found in ``vitamin B12``. ``tokens`` are those of
        ``tokenize`` by default.
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
    """Return whether there is a letter just before ``at`` and a digit at it."""
    return 0 < at < len(text) and text[at - 1].isalpha() and text[at].isdecimal()
