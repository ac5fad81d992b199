from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document

TEXT = ["7|t|Aspirin | rash", "7|a|A rash after aspirin."]
DRUG, RASH = "7\t0\t7\tAspirin\tDrug\tD1", "7\t10\t14\trash\tAE\tD2"
RASH_AGAIN = "7\t17\t21\trash\tAE\tD2"
CAUSES = "7\tcauses\tD1\tD2"


def _read(folder: Path, *lines: str, strict: bool = False) -> Corpus:
    (folder / "in.PubTator.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return read_corpus("pubtator", folder, strict=strict)


def _reasons(corpus: Corpus) -> list[tuple[str, str]]:
    return [
        (item.place.removeprefix("in.PubTator.txt:"), item.reason) for item in corpus.report.skipped
    ]


def test_offsets_go_through_title_and_abstract(tmp_path: Path) -> None:
    corpus = _read(tmp_path, *TEXT, DRUG, RASH_AGAIN, CAUSES)

    assert corpus.documents == (
        Document(
            id="7",
            text="Aspirin | rash\n\nA rash after aspirin.",
            entities=(
                Entity(id="e1", type="Drug", start=0, end=7),
                Entity(id="e2", type="AE", start=18, end=22),
            ),
            relations=(Relation(type="causes", head="e1", tail="e2"),),
        ),
    )
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_title_is_a_sentence_of_its_own(tmp_path: Path) -> None:
    sentences = align_document(_read(tmp_path, *TEXT).documents[0]).sentences

    assert [sentence.start for sentence in sentences] == [0, 16]


def test_relation_between_concepts_of_several_mentions_is_skipped(tmp_path: Path) -> None:
    corpus = _read(tmp_path, *TEXT, DRUG, RASH, RASH_AGAIN, CAUSES)

    assert (corpus.report.n_entities, corpus.report.n_relations) == (3, 0)
    assert _reasons(corpus) == [
        ("6", "causes joins concepts with 1 and 2 mentions; it does not say which")
    ]


def test_mention_of_several_concepts_counts_for_each_of_them(tmp_path: Path) -> None:
    both = "7\t10\t14\trash\tAE\tD2|D3"
    links = ["7\tx\tD1\tD2", "7\tx\tD1\tD3", "7\tx\tD3\tD3", "7\tx\tD1\tD2|D3"]

    corpus = _read(tmp_path, *TEXT, DRUG, both, RASH_AGAIN, *links)

    assert corpus.documents[0].relations == (Relation(type="x", head="e1", tail="e2"),) * 2
    assert _reasons(corpus) == [
        ("6", "x joins concepts with 1 and 2 mentions; it does not say which"),
        ("8", "x joins two concepts of one mention"),
    ]


@pytest.mark.parametrize("concept", ["\t-1", "\t-", "\t", ""], ids=["-1", "-", "empty", "absent"])
def test_mention_without_a_concept_is_an_entity_in_no_relation(
    tmp_path: Path, concept: str
) -> None:
    corpus = _read(tmp_path, *TEXT, f"7\t0\t7\tAspirin\tDrug{concept}", RASH, "7\tx\t-1\tD2")

    assert (corpus.report.n_entities, corpus.report.n_relations) == (2, 0)


def test_mention_that_stands_elsewhere_is_skipped_with_its_relation(tmp_path: Path) -> None:
    corpus = _read(
        tmp_path, *TEXT, DRUG, "7\t11\t15\trash\tAE\tD2", "7\t0\t7\tAspirin\t\tD4", CAUSES
    )

    assert _reasons(corpus) == [
        ("5", "the mention has no type"),
        ("4", "e2 at 11..15 does not hold the mention that came along"),
        ("6", "causes joins a concept whose mention was left out"),
    ]


@pytest.mark.parametrize(
    ("start", "counting"), [(3, "UTF-16 units"), (5, "UTF-8 bytes")], ids=["units", "bytes"]
)
def test_offsets_counted_otherwise_are_converted_and_reported(
    tmp_path: Path, start: int, counting: str
) -> None:
    corpus = _read(tmp_path, "7|t|😀 rash", f"7\t{start}\t{start + 4}\trash\tAE\tD2")

    assert corpus.documents[0].entities == (Entity(id="e1", type="AE", start=2, end=6),)
    assert [item.reason for item in corpus.report.repaired] == [
        f"1 mentions were counted in {counting}"
    ]


def test_documents_follow_each_other_and_a_missing_abstract_adds_nothing(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "\ufeff7|t|One", "7|a|", "", "8|t|Two", "8\tx\tD1\tD2\tNovel")

    assert [(document.id, document.text) for document in corpus.documents] == [
        ("7", "One"),
        ("8", "Two"),
    ]


def test_document_without_text_is_reported(tmp_path: Path) -> None:
    assert _reasons(_read(tmp_path, "7|t|", "7|a|")) == [("1", "the document 7 holds no text")]


def test_packed_file_and_split_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "x.pubtator.gz").write_bytes(gzip.compress(TEXT[0].encode()))

    assert read_corpus("pubtator", tmp_path).documents[0].meta == {"split": "dev"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("8\t0\t7\tAspirin\tDrug\tD1", "expected a line of document 7"),
        ("7\t0\t7\tAspirin", "expected 'PMID, start"),
        ("7\tcauses\tD1", "expected 'PMID, start"),
        ("7\tcauses\t\tD1", "expected 'PMID, start"),
        ("7|t|Again", "the id 7 is taken"),
        ("6|t|x\n7|t|x", "the id 7 is taken"),
    ],
    ids=["document", "mention", "relation", "empty", "title", "comes back"],
)
def test_malformed_line_is_refused_with_its_place(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(InputError, match=rf"^in\.PubTator\.txt:[34]: .*{expected}"):
        _read(tmp_path, *TEXT, line, strict=True)


def test_label_before_any_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r":1: expected 'PMID\|t\|title'"):
        _read(tmp_path, DRUG, strict=True)
