from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain import Document
from annotator.errors import InputError
from annotator.formats import read_corpus


def test_folder_has_a_document_a_file_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes("é\r\n".encode())
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfx")
    (tmp_path / "c.txt").write_bytes(b" \n")
    (tmp_path / "d.md").write_bytes(b"y")

    corpus = read_corpus("text", tmp_path)

    assert corpus.documents == (Document(id="a", text="x"), Document(id="b", text="é\r\n"))
    assert [item.place for item in corpus.report.repaired] == ["a.txt"]
    assert [item.place for item in corpus.report.skipped] == ["c.txt"]


def test_single_file_is_a_document(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_bytes(b"y")

    assert read_corpus("text", tmp_path / "note.md").documents == (Document(id="note", text="y"),)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"abc\xe9d", "a.txt: byte 3 is not UTF-8"), (b"ab\0", "a.txt: null byte at byte 2")],
    ids=["latin-1", "null"],
)
def test_file_that_is_not_text_is_refused_with_file_and_byte(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    (tmp_path / "a.txt").write_bytes(content)

    with pytest.raises(InputError, match=expected):
        read_corpus("text", tmp_path)


@pytest.mark.parametrize("name", [".", "absent.txt"])
def test_path_without_text_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        read_corpus("text", tmp_path / name)
