from __future__ import annotations

import pytest

from annotator.domain import WordEntity
from annotator.errors import InputError
from annotator.text import decode_bioes, encode_bioes, tag_names


def _entity(first: int, last: int, name: str = "X") -> WordEntity:
    return WordEntity(type=name, first=first, last=last)


def test_tag_names_follow_the_order_of_the_schema() -> None:
    assert tag_names(["Drug", "AE"]) == (
        *("O", "B-Drug", "I-Drug", "E-Drug", "S-Drug"),
        *("B-AE", "I-AE", "E-AE", "S-AE"),
    )


def test_entities_become_tags() -> None:
    assert encode_bioes(5, [_entity(0, 2), _entity(4, 4, "Y")]) == [
        *("B-X", "I-X", "E-X", "O", "S-Y"),
    ]


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("O I-X I-X O", [_entity(1, 2)]),
        ("O E-X O", [_entity(1, 1)]),
        ("B-X E-Y", [_entity(0, 0), _entity(1, 1, "Y")]),
        ("B-X I-X O", [_entity(0, 1)]),
        ("B-X B-X", [_entity(0, 0), _entity(1, 1)]),
        ("B-X S-X", [_entity(0, 0), _entity(1, 1)]),
        ("B-X E-X I-X", [_entity(0, 1), _entity(2, 2)]),
        ("S-X I-X", [_entity(0, 0), _entity(1, 1)]),
        ("S-a-b", [_entity(0, 0, "a-b")]),
        ("", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_illegal_sequences_are_read_leniently(tags: str, entities: list[WordEntity]) -> None:
    assert decode_bioes(tags.split()) == tuple(entities)


@pytest.mark.parametrize("tag", ["X", "B-", "Q-X", "B", ""])
def test_what_is_not_a_tag_is_refused(tag: str) -> None:
    with pytest.raises(InputError, match="word 1 must be O"):
        decode_bioes(["O", tag])


@pytest.mark.parametrize(
    "entities", [[_entity(0, 3)], [_entity(0, 1), _entity(1, 2)]], ids=["past", "overlap"]
)
def test_entities_that_tags_cannot_say_are_refused(entities: list[WordEntity]) -> None:
    with pytest.raises(InputError):
        encode_bioes(3, entities)
