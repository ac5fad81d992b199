"""Whatever the terms and the text: regions are exact, ordered, apart, and are terms."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from annotator.text import tokenize
from annotator.text.lexicon import Lexicon, term_key

WORDS = ["a", "B", "ab", "AB", "12", "-", "é", "e\u0301", "😀", "ß", "β", " ", "\r\n", "\u00a0"]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=30).map("".join) | st.text(max_size=20)
TERMS = st.lists(st.tuples(TEXTS, st.sampled_from(["X", "Y"])), max_size=8)


@given(terms=TERMS, text=TEXTS)
def test_regions_are_whole_words_in_order_and_never_overlap(
    terms: list[tuple[str, str]], text: str
) -> None:
    found = Lexicon(terms).find(text)

    tokens = tokenize(text)
    assert all(one.end <= next_.start for one, next_ in pairwise(found))
    assert {match.start for match in found} <= {token.start for token in tokens}
    assert {match.end for match in found} <= {token.end for token in tokens}


@given(terms=TERMS, text=TEXTS)
def test_what_is_found_is_a_term_of_that_type(terms: list[tuple[str, str]], text: str) -> None:
    found = Lexicon(terms).find(text)

    folded = {(term_key(term).casefold(), type_) for term, type_ in terms}
    assert {(term_key(text[m.start : m.end]).casefold(), m.type) for m in found} <= folded


@given(term=TEXTS.filter(lambda term: bool(term_key(term))))
def test_a_text_that_is_a_term_is_found_whole(term: str) -> None:
    (found,) = Lexicon([(term, "X")]).find(term)

    tokens = tokenize(term)
    assert (found.start, found.end) == (tokens[0].start, tokens[-1].end)
