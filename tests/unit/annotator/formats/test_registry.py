from __future__ import annotations

from pathlib import Path

import pytest

from annotator.errors import InputError
from annotator.formats import READERS, WRITERS, read_corpus, write_corpus


def test_formats_are_known_by_name() -> None:
    assert set(READERS) == {
        "ace",
        "ade",
        "ade-giorgi",
        "bioc",
        "bioes",
        "brat",
        "conll04",
        "conll04-corp",
        "csv",
        "i2b2",
        "jsonl",
        "miwa",
        "pubtator",
        "spert",
        "text",
    }
    assert set(WRITERS) == {"bioes", "brat", "jsonl"}


def test_unknown_reader_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=", ".join(READERS)):
        read_corpus("xml", tmp_path)


def test_unknown_writer_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bioes, brat, jsonl"):
        write_corpus("xml", [], tmp_path)


@pytest.mark.parametrize("name", sorted(READERS))
def test_absent_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no file|cannot read"):
        read_corpus(name, tmp_path / "absent")


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_empty_corpus_is_written_and_leaves_no_unfinished_file(tmp_path: Path, name: str) -> None:
    report = write_corpus(name, [], tmp_path / "new")

    assert report.n_documents == 0
    assert sorted(report.files) == sorted((tmp_path / "new").iterdir())
