from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus


def _read(folder: Path, text: str, name: str = "pool.csv", strict: bool = False) -> Corpus:
    (folder / name).write_bytes(text.encode())
    return read_corpus("csv", folder / name, strict=strict)


def _texts(corpus: Corpus) -> dict[str, str]:
    return {document.id: document.text for document in corpus.documents}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("id,text\n1,Rash\n2,Well\n", "a.csv"),
        ("text\tid\nRash\t1\nWell\t2", "a.tsv"),
        (" ID ,Text\r\n1,Rash\r\n\r\n2,Well\r\n", "a.csv"),
    ],
    ids=["commas", "tabs", "capitals and CR LF"],
)
def test_columns_are_found_by_their_names(tmp_path: Path, text: str, name: str) -> None:
    corpus = _read(tmp_path, text, name)

    assert _texts(corpus) == {"1": "Rash", "2": "Well"}
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_quoted_text_keeps_its_signs_and_line_ends(tmp_path: Path) -> None:
    corpus = _read(tmp_path, 'id,text\n1,"Rash, ""mild"".\r\nBP\t9\n"\n')

    assert _texts(corpus) == {"1": 'Rash, "mild".\r\nBP\t9\n'}


def test_other_columns_and_empty_rows_are_reported(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "id,ward,text\n1,A,Rash\n2,B, \n")

    assert _texts(corpus) == {"1": "Rash"}
    assert [item.place for item in corpus.report.skipped] == ["pool.csv:3", "pool.csv:1"]


def test_byte_order_mark_is_taken_off_and_reported(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "\ufeffid,text\n1,Rash\n")

    assert _texts(corpus) == {"1": "Rash"}
    assert [item.place for item in corpus.report.repaired] == ["pool.csv"]


def test_text_longer_than_the_usual_limit_is_read_and_the_limit_put_back(tmp_path: Path) -> None:
    before = csv.field_size_limit()

    corpus = _read(tmp_path, f"id,text\n1,{'x' * (before + 1)}\n")

    assert len(corpus.documents[0].text) == before + 1
    assert csv.field_size_limit() == before


def test_packed_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "pool.csv.gz").write_bytes(gzip.compress(b"id,text\n1,Rash\n"))

    assert _texts(read_corpus("csv", tmp_path / "pool.csv.gz")) == {"1": "Rash"}


def test_damaged_packed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool.csv.gz").write_bytes(gzip.compress(b"id,text\n1,Rash\n")[:-9])

    with pytest.raises(InputError, match="cannot read"):
        read_corpus("csv", tmp_path / "pool.csv.gz", strict=True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("1,Rash\n", 1),
        ("id,text,text\n", 1),
        ('id,text\n1,"a\nb"\n2\n', 4),
        ("id,text\n1,a,b\n", 2),
        ("id,text\n1,a\n1,b\n", 3),
        ("id,text\n ,a\n", 2),
        ('id,text\n1,a\n2,"b\n', 3),
        ('id,text\n1,"a"b\n', 2),
    ],
    ids=["empty", "no names", "twice", "few", "many", "taken", "no id", "open", "after a quote"],
)
def test_malformed_row_is_refused_with_its_place(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(InputError, match=rf"^pool\.csv:{line}: "):
        _read(tmp_path, text, strict=True)
