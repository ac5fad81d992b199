from __future__ import annotations

from typing import Any

import pytest

from annotator.studio.task_data import nest_field, read_field

NESTED: dict[str, Any] = {"note": {"text": "a"}, "notes": ["b", {"text": "c"}], "plain": "d"}


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("plain", "d"),
        ("note.text", "a"),
        ("notes[0]", "b"),
        ("notes[1].text", "c"),
        ("notes.0", "b"),
        ("notes[2]", None),
        ("note.text.more", None),
        ("nothing", None),
        ("nothing.more", None),
    ],
)
def test_a_field_is_found_where_the_editor_finds_it(field: str, found: str | None) -> None:
    assert read_field(NESTED, field) == found


def test_a_key_of_just_this_name_comes_first() -> None:
    assert read_field({"note.text": "flat", **NESTED}, "note.text") == "flat"


@pytest.mark.parametrize("field", ["plain", "note.text", "notes[0]", "notes[2].text", "a.b[1].c"])
def test_what_is_put_into_a_field_is_found_there(field: str) -> None:
    assert read_field(nest_field(field, "x"), field) == "x"
