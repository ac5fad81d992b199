from __future__ import annotations

import unicodedata

import pytest

from annotator.formats.mentions import ClaimedSpan, settle_spans


def _span(name: str, start: int, mention: str | None, *, size: int = 1) -> ClaimedSpan:
    return ClaimedSpan(id=name, start=start, end=start + size, mention=mention)


def test_counting_that_fits_most_mentions_is_taken_for_all() -> None:
    spans = [_span("a", 3, "a"), _span("b", 4, "b"), _span("x", 1, "c"), _span("none", 5, None)]

    settled = settle_spans("😀 abc", spans)

    assert settled.counting == "UTF-16 units"
    assert [(span.id, span.start) for span in settled.kept] == [("a", 2), ("b", 3), ("none", 4)]
    assert [span.id for span in settled.misfits] == ["x"]


def test_code_points_are_taken_where_no_counting_fits_more() -> None:
    settled = settle_spans("😀 abc", [_span("a", 2, "a"), _span("c", 5, "c")])

    assert settled.counting is None
    assert [span.id for span in settled.kept] == ["a"]
    assert settled.misfits == (_span("c", 5, "c"),)


@pytest.mark.parametrize(
    ("start", "size"), [(-1, 1), (2, 0), (5, 1), (4, 2)], ids=["before", "empty", "after", "over"]
)
def test_span_without_mention_must_lie_in_the_text(start: int, size: int) -> None:
    span = _span("s", start, None, size=size)

    assert settle_spans("😀 abc", [span]).misfits == (span,)


NFC, NFD = "Ménière", unicodedata.normalize("NFD", "Ménière")
POSITION = {
    "decomposed quotation": (f"{NFC} since May.", (0, 7), NFD),
    "composed quotation": (f"{NFD} since May.", (0, 9), NFC),
    "other case": ("After Aspirin.", (6, 13), "ASPIRIN"),
    "letters written out": ("TNF-\u03b1 rose.", (0, 5), "TNF-a"),
    "dashes, and a blank more": ("and IL\u20101β rose", (4, 10), "IL-1b"),
    "words of another kind": ("After aspirin.", (6, 13), "XXXXXXX"),
}


@pytest.mark.parametrize(("text", "span", "mention"), POSITION.values(), ids=POSITION)
def test_position_decides_where_the_quotation_is_only_written_otherwise(
    text: str, span: tuple[int, int], mention: str
) -> None:
    claimed = ClaimedSpan(id="e", start=span[0], end=span[1], mention=mention)

    settled = settle_spans(text, [claimed])

    assert (settled.kept, settled.differing, settled.misfits) == ((claimed,), {"e"}, ())


WRONG = {
    "stands elsewhere": ("Rash and pain.", (9, 13), "Rash"),
    "one letter off": ("The rash went.", (5, 9), "rash"),
    "longer": ("The rash went.", (4, 8), "dermatitis"),
    "within words": ("The rash went.", (5, 9), "itch"),
}


@pytest.mark.parametrize(("text", "span", "mention"), WRONG.values(), ids=WRONG)
def test_position_that_the_quotation_speaks_against_is_a_misfit(
    text: str, span: tuple[int, int], mention: str
) -> None:
    claimed = [
        ClaimedSpan(id="e", start=span[0], end=span[1], mention=mention),
        ClaimedSpan(id="proof", start=0, end=3, mention=text[:3]),
    ]

    assert settle_spans(text, claimed).misfits == (claimed[0],)


COUNTED = {
    "with a byte order mark": ("Rash went.", 1, "code points from 1, or with a byte order mark"),
    "composed": (f"{NFD} rash", -2, "composed characters (NFC)"),
    "decomposed": ("가 rash", 1, "decomposed characters (NFD)"),
    "from a passage on": ("The rash", -20, "code points from the passage's beginning"),
}


@pytest.mark.parametrize(("text", "shift", "counting"), COUNTED.values(), ids=COUNTED)
def test_offsets_that_count_from_elsewhere_or_other_characters_are_converted(
    text: str, shift: int, counting: str
) -> None:
    mention = text.split()[-1] if len(text.split()[-1]) == 4 else text[:4]
    start = text.index(mention)
    claimed = ClaimedSpan(id="e", start=start + shift, end=start + shift + 4, mention=mention)

    settled = settle_spans(text, [claimed], base=20)

    assert settled.counting == counting
    assert [(span.start, span.end) for span in settled.kept] == [(start, start + 4)]
