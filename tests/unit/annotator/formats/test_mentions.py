from __future__ import annotations

import pytest

from annotator.formats.mentions import ClaimedSpan, settle_spans


def _span(name: str, start: int, mention: str | None, *, size: int = 1) -> ClaimedSpan:
    return ClaimedSpan(id=name, start=start, end=start + size, mention=mention)


def test_counting_that_fits_most_mentions_is_taken_for_all() -> None:
    spans = [_span("a", 3, "a"), _span("b", 4, "b"), _span("x", 1, "x"), _span("none", 5, None)]

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
