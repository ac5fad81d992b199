from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain import Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document

SPLIT_TEXT = "Sample headline\nJane Doe , of  Acme .\n"
SPLIT_LABELS = (
    "TDOC.1-E1-1\tPER 16 24\tJane Doe\n"
    "RDOC.1-R1-1\tORG-AFF Arg1:TDOC.1-E1-1 Arg2:TDOC.1-E2-9\n"
    "TDOC.1-E2-9\tORG 31 35\tAcme\n"
)


def _make(folder: Path, name: str, text: str | None, labels: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, content in ((".txt", text), (".ann", labels)):
        if content is not None:
            (folder / f"{name}{suffix}").write_text(content, encoding="utf-8")


def _read_split(folder: Path) -> Corpus:
    _make(folder, "DOC.1.split", SPLIT_TEXT, SPLIT_LABELS)
    return read_corpus("miwa", folder)


def test_ids_that_are_no_numbers_are_kept(tmp_path: Path) -> None:
    document = _read_split(tmp_path).documents[0]

    assert {entity.id: document.mention(entity) for entity in document.entities} == {
        "TDOC.1-E1-1": "Jane Doe",
        "TDOC.1-E2-9": "Acme",
    }
    assert document.relations == (Relation(type="ORG-AFF", head="TDOC.1-E1-1", tail="TDOC.1-E2-9"),)


def test_each_line_is_a_sentence_with_its_own_tokens(tmp_path: Path) -> None:
    alignment = align_document(_read_split(tmp_path).documents[0])

    assert [sentence.words for sentence in alignment.sentences] == [
        ("Sample", "headline"),
        ("Jane", "Doe", ",", "of", "Acme", "."),
    ]
    assert alignment.issues == ()


def test_split_pair_is_preferred(tmp_path: Path) -> None:
    _make(tmp_path, "DOC.1", "Jane Doe, of Acme.", "")
    (tmp_path / "DOC.1.split.stanford.so").touch()

    corpus = _read_split(tmp_path)

    assert [(d.id, d.text) for d in corpus.documents] == [("DOC.1", SPLIT_TEXT)]
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_other_pair_is_read_where_the_split_one_is_not_whole(tmp_path: Path) -> None:
    _make(tmp_path, "DOC.1", "Jane Doe, of Acme.", "TDOC.1-E1-1\tPER 0 8\tJane Doe\n")
    _make(tmp_path, "DOC.1.split", SPLIT_TEXT, None)

    corpus = read_corpus("miwa", tmp_path)

    assert [(d.text, d.meta) for d in corpus.documents] == [("Jane Doe, of Acme.", {})]
    assert [item.place for item in corpus.report.repaired] == ["DOC.1"]


def test_document_without_a_whole_pair_is_skipped(tmp_path: Path) -> None:
    _make(tmp_path, "DOC.2", None, "")

    corpus = _read_split(tmp_path)

    assert [document.id for document in corpus.documents] == ["DOC.1"]
    assert [item.place for item in corpus.report.skipped] == ["DOC.2"]


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_split_is_that_of_the_folder(tmp_path: Path, name: str) -> None:
    _make(tmp_path / "corpus" / name, "DOC.1.split", SPLIT_TEXT, SPLIT_LABELS)

    below = read_corpus("miwa", tmp_path / "corpus").documents[0]
    within = read_corpus("miwa", tmp_path / "corpus" / name).documents[0]

    assert (below.meta["split"], within.meta["split"]) == (name, name)


@pytest.mark.parametrize("suffix", [".split.txt", ".split.ann"])
def test_one_document_is_read_by_any_of_its_files(tmp_path: Path, suffix: str) -> None:
    _read_split(tmp_path)

    corpus = read_corpus("miwa", tmp_path / f"DOC.1{suffix}")

    assert [document.id for document in corpus.documents] == ["DOC.1"]


def test_two_documents_of_one_name_are_refused(tmp_path: Path) -> None:
    _make(tmp_path / "fold0", "DOC.1.split", SPLIT_TEXT, SPLIT_LABELS)
    _make(tmp_path / "fold1", "DOC.1.split", SPLIT_TEXT, SPLIT_LABELS)

    with pytest.raises(InputError, match=r"^fold1/DOC\.1: another document"):
        read_corpus("miwa", tmp_path)


def test_sample_is_read_without_loss(shared_data: Path) -> None:
    corpus = read_corpus("miwa", shared_data / "format_samples" / "ace")

    document = corpus.documents[0]

    assert document.id == "SAMPLE_20030101.0001"
    assert [(entity.type, document.mention(entity)) for entity in document.entities] == [
        ("PER", "Jane Doe"),
        ("PER", "spokeswoman"),
        ("ORG", "Acme Corp."),
        ("GPE", "Springfield"),
    ]
    assert [relation.type for relation in document.relations] == ["ORG-AFF", "PHYS"]
    assert align_document(document).issues == ()
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())
