from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from annotator.store.rows import columns_of, from_row


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A value with a field that is no column."""

    name: str
    rank: int = 0
    region: tuple[int, int]


def test_a_field_is_the_column_of_its_name_unless_something_else_is_given() -> None:
    row = SimpleNamespace(name="ward", rank=3, region="none", start=1, end=4)

    assert from_row(Place, row, region=(row.start, row.end)) == Place(
        name="ward", rank=3, region=(1, 4)
    )


def test_a_field_without_a_column_and_a_column_without_a_field_are_errors() -> None:
    row = SimpleNamespace(name="ward", rank=3)

    with pytest.raises(AttributeError, match="region"):
        from_row(Place, row)
    with pytest.raises(TypeError, match="start"):
        from_row(Place, row, region=(1, 4), start=1)


def test_columns_leave_out_what_is_none() -> None:
    place = Place(name="ward", rank=3, region=(1, 4))

    assert columns_of(place, but=("region",)) == {"name": "ward", "rank": 3}
