"""A file of terms and types, checked at the door."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain import LabelSchema
from annotator.errors import InputError
from annotator.formats.lexicon import read_lexicon

SCHEMA = LabelSchema(entity_types=("Drug", "Effect"))


def write(folder: Path, content: str, name: str = "terms.tsv") -> Path:
    path = folder / name
    path.write_bytes(content.encode("utf-8"))
    return path


@pytest.mark.parametrize(
    "content",
    [
        "aspirin\tDrug\nchest pain\tEffect\n",
        "term\ttype\r\naspirin\tDrug\r\n\r\nchest pain\tEffect",
        "\ufeffaspirin,Drug\n chest pain , Effect\nAspirin,Drug\n",
        '"aspirin","Drug"\n"chest pain","Effect"\n',
    ],
    ids=["tabs", "named-columns-and-crlf", "commas-and-doubles", "quotes"],
)
def test_terms_and_types_are_read(tmp_path: Path, content: str) -> None:
    terms = read_lexicon(write(tmp_path, content), SCHEMA)

    assert terms == [("aspirin", "Drug"), ("chest pain", "Effect")]


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ("aspirin\tDrug\nrash\tSymptom\n", "terms.tsv:2", "'Symptom' is not one of the project's"),
        ("aspirin\tDrug\n\t Drug\n", "terms.tsv:2", "the term is empty"),
        ("aspirin\tDrug\nrash\n", "terms.tsv:2", "found 1 cells"),
        ("a b\tDrug\nrash\tEffect\na  B\tEffect\n", "terms.tsv:3", "the type Drug in terms.tsv:1"),
        ("", "terms.tsv", "no terms"),
        ('"aspirin\tDrug\n', "terms.tsv:1", "not a whole row"),
    ],
    ids=["unknown-type", "empty-term", "one-cell", "two-types", "no-terms", "open-quote"],
)
def test_a_fault_is_named_with_its_line_and_without_the_term(
    tmp_path: Path, content: str, place: str, reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as refused:
        read_lexicon(write(tmp_path, content), SCHEMA)

    assert str(refused.value).startswith(place)
    assert "aspirin" not in str(refused.value)


def test_all_faults_are_counted_and_the_first_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"terms.tsv:5: .*; and 4 more$"):
        read_lexicon(write(tmp_path, "x\tNone\n" * 9), SCHEMA)


def test_an_abbreviation_and_the_word_are_two_terms(tmp_path: Path) -> None:
    terms = read_lexicon(write(tmp_path, "ALL\tEffect\nall\tDrug\n"), SCHEMA)

    assert terms == [("ALL", "Effect"), ("all", "Drug")]
