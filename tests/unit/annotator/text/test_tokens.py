from __future__ import annotations

import pytest

from annotator.text import tokenize


def _words(text: str) -> list[str]:
    return [text[token.start : token.end] for token in tokenize(text)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.5mg", ["0", ".", "5", "mg"]),
        ("IL-2", ["IL", "-", "2"]),
        ("p53-/-", ["p", "53", "-", "/", "-"]),
        ("snake_case", ["snake", "_", "case"]),
        ("m² ½", ["m", "²", "½"]),
        ("Müller naïve", ["Müller", "naïve"]),
        ("cafe\u0301s 5\u0301", ["cafe\u0301s", "5", "\u0301"]),
        ("β-Blocker२३", ["β", "-", "Blocker", "२३"]),
        ("😀😀a", ["😀", "😀", "a"]),
        ("a\u00a0b\u2003c\r\nd", ["a", "b", "c", "d"]),
        ("हिन्दी", ["हिन्दी"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_is_cut_into_letters_digits_and_single_characters(text: str, words: list[str]) -> None:
    assert _words(text) == words


def test_slice_is_tokenised_with_offsets_into_the_whole_text() -> None:
    tokens = tokenize("Give 5 mg now", 5, 9)

    assert [(token.start, token.end) for token in tokens] == [(5, 6), (7, 9)]
