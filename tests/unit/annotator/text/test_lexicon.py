"""Terms found in text: whole words, the longest, none over another."""

from __future__ import annotations

import pytest

from annotator.domain import Token
from annotator.text.lexicon import Lexicon, term_key

TERMS = (
    ("aspirin", "Drug"),
    ("chest pain", "Effect"),
    ("pain", "Effect"),
    ("pain clinic", "Place"),
    ("ALL", "Effect"),
    ("IL-2", "Drug"),
    ("mg", "Unit"),
    ("vitamin B", "Drug"),
    ("β-carotene", "Drug"),
)


def find(text: str) -> list[tuple[str, str]]:
    return [(match.type, text[match.start : match.end]) for match in Lexicon(TERMS).find(text)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("ASPIRIN, Aspirin", ["ASPIRIN", "Aspirin"], id="whatever-the-case"),
        pytest.param("aspirins and paspirin", [], id="whole-words-alone"),
        pytest.param("chest  pain", ["chest  pain"], id="the-longest"),
        pytest.param("chest\r\npain", ["chest\r\npain"], id="over-a-line-break"),
        pytest.param("chest, pain", ["pain"], id="not-over-a-comma"),
        pytest.param("chest pain clinic", ["chest pain"], id="from-the-left"),
        pytest.param("ALL of us, all of us", ["ALL"], id="abbreviations-as-written"),
        pytest.param("il-2 or IL-2", ["IL-2"], id="abbreviations-with-digits"),
        pytest.param("500mg", ["mg"], id="a-unit-after-its-number"),
        pytest.param("vitamin B12, vitamin B.", ["vitamin B"], id="no-letter-without-its-digit"),
        pytest.param("😀 \u0392-carotene 😀 pain", ["\u0392-carotene", "pain"], id="beyond-ascii"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_terms_are_found(text: str, found: list[str]) -> None:
    assert [mention for _, mention in find(text)] == found


def test_a_term_in_capitals_and_the_word_may_have_types_of_their_own() -> None:
    lexicon = Lexicon([("ALL", "Disease"), ("all", "Quantity")])

    assert [match.type for match in lexicon.find("ALL all All")] == [
        "Disease",
        "Quantity",
        "Quantity",
    ]
    assert len(lexicon) == 2


def test_the_words_of_the_text_may_be_given() -> None:
    tokens = [Token(start=0, end=7), Token(start=8, end=12)]

    found = Lexicon([("aspirin", "Drug"), ("x", "Drug")]).find("aspirin x-ray", tokens)

    assert [(match.start, match.end) for match in found] == [(0, 7)]


def test_terms_without_anything_visible_are_never_found() -> None:
    lexicon = Lexicon([(" \t", "Drug"), ("", "Drug")])

    assert (len(lexicon), lexicon.types, lexicon.find("a b")) == (0, set(), [])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Chest  Pain", "chest pain", True),
        ("IL-2", "IL - 2", True),
        ("ALL", "all", False),
        ("ASPIRIN", "aspirin", True),
    ],
    ids=["case", "blanks", "abbreviation", "long-capitals"],
)
def test_a_key_tells_which_terms_are_the_same(one: str, other: str, same: bool) -> None:
    assert (term_key(one) == term_key(other)) is same
