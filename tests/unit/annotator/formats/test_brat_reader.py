from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats import Corpus, SkippedItem, read_corpus, write_corpus

TEXT = "Hepatitis after drug A.\nThe rash and itching of the left arm resolved."
T1, T2 = "T1\tAE 0 9\tHepatitis", "T2\tDrug 16 22\tdrug A"


def _read(folder: Path, *lines: str, text: str = TEXT, strict: bool = False) -> Corpus:
    (folder / "x.txt").write_bytes(text.encode())
    (folder / "x.ann").write_bytes("\n".join([*lines, ""]).encode())
    return read_corpus("brat", folder, strict=strict)


def test_labels_are_read_in_any_order_of_lines(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "R1\tADE Arg1:T2 Arg2:T1\t", "", T2, T1)

    assert corpus.documents == (
        Document(
            id="x",
            text=TEXT,
            entities=(
                Entity(id="T2", type="Drug", start=16, end=22),
                Entity(id="T1", type="AE", start=0, end=9),
            ),
            relations=(Relation(type="ADE", head="T2", tail="T1"),),
        ),
    )
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


@pytest.mark.parametrize(
    ("arguments", "head"),
    [("Arg1:T2 Arg2:T1", "T2"), ("Arg2:T1 Arg1:T2", "T2"), ("Cause:T1 Theme:T2", "T1")],
    ids=["in order", "turned round", "other names"],
)
def test_head_is_the_first_argument_by_name_or_else_by_place(
    tmp_path: Path, arguments: str, head: str
) -> None:
    corpus = _read(tmp_path, T1, T2, f"R1\tADE {arguments}")

    assert corpus.documents[0].relations[0].head == head


def test_fragments_around_a_line_break_are_one_span(tmp_path: Path) -> None:
    corpus = _read(tmp_path, "T1\tX 16 23;24 27\tdrug A. The")

    assert corpus.documents[0].entities == (Entity(id="T1", type="X", start=16, end=27),)


@pytest.mark.parametrize("mention", ["\titching arm", ""], ids=["mention", "none"])
def test_discontinuous_span_is_skipped_with_its_relations(tmp_path: Path, mention: str) -> None:
    discontinuous = f"T4\tAE 37 44;57 60{mention}"

    corpus = _read(tmp_path, discontinuous, T2, "R1\tADE Arg1:T2 Arg2:T4")

    assert [entity.id for entity in corpus.documents[0].entities] == ["T2"]
    assert corpus.report.skipped == (
        SkippedItem(place="x.ann:1", reason="T4 at 37..60 is discontinuous (2 fragments)"),
        SkippedItem(place="x.ann:3", reason="relation R1: its argument T4 was left out or absent"),
    )


def test_what_is_neither_mention_nor_relation_is_reported_by_kind(tmp_path: Path) -> None:
    corpus = _read(
        tmp_path,
        T1,
        "*\tEquiv T1 T2",
        "E1\tHarm:T1 Cause:T2",
        "A1\tNegation T1",
        "M2\tSpeculation T1",
        "N1\tReference T1 RID:EID\ttext",
        "#1\tAnnotatorNotes T1\tnote",
        "#2\tAnnotatorNotes T1\tnote",
    )

    assert [(item.place, item.reason.split(" were")[0]) for item in corpus.report.skipped] == [
        ("x.ann:2", "1 symmetric groups"),
        ("x.ann:3", "1 events"),
        ("x.ann:4", "2 attributes"),
        ("x.ann:6", "1 normalisations"),
        ("x.ann:7", "2 notes"),
    ]


@pytest.mark.parametrize(
    ("span", "counting"),
    [("5 9", "UTF-16 units"), ("7 11", "UTF-8 bytes")],
    ids=["units", "bytes"],
)
def test_offsets_counted_otherwise_are_converted_and_reported(
    tmp_path: Path, span: str, counting: str
) -> None:
    corpus = _read(tmp_path, f"T1\tAE {span}\trash", text="😀 A rash")

    assert corpus.documents[0].entities == (Entity(id="T1", type="AE", start=4, end=8),)
    assert corpus.report.repaired == (
        SkippedItem(place="x.ann", reason=f"1 mentions were counted in {counting}"),
    )


def test_mention_that_stands_elsewhere_is_skipped_and_the_others_kept(tmp_path: Path) -> None:
    corpus = _read(tmp_path, T1, "T3\tAE 1 9\tHepatitis", "T5\tAE 60 99\tresolved")

    assert [entity.id for entity in corpus.documents[0].entities] == ["T1"]
    assert [item.reason for item in corpus.report.skipped] == [
        "T3 at 1..9 does not hold the mention that came along",
        f"T5 at 60..99 is not a span of the text (length {len(TEXT)})",
    ]


@pytest.mark.parametrize(
    "line",
    ["T1", "T1\tAE", "T1\tAE 0-9\tx", "R1\tADE T1 T2", "R1\tADE Arg1:T1", "X1\tAE", T1],
    ids=["no fields", "no span", "span", "no names", "one argument", "kind", "repeated id"],
)
def test_malformed_line_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"^x\.ann:2: "):
        _read(tmp_path, T1, line, strict=True)


def test_split_is_read_from_the_folder_and_the_id_from_the_name(tmp_path: Path) -> None:
    written = [Document(id="a/b", text="x"), Document(id="A b", text="y")]
    write_corpus("brat", written, tmp_path, splits={"a/b": "dev"})

    documents = read_corpus("brat", tmp_path).documents

    assert [(d.id, d.text, d.meta) for d in documents] == [
        ("A b", "y", {}),
        ("a/b", "x", {"split": "dev"}),
    ]


@pytest.mark.parametrize("stem", ["50%", "a b", "%zz", "%ff"])
def test_name_that_the_writer_would_not_make_is_the_id(tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}.txt").write_text("x", encoding="utf-8")
    (tmp_path / f"{stem}.ann").touch()

    assert read_corpus("brat", tmp_path / f"{stem}.txt").documents[0].id == stem


def test_file_without_its_partner_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "text.txt").touch()
    (tmp_path / "labels.ann").touch()

    corpus = _read(tmp_path, T1)

    assert len(corpus.documents) == 1
    assert [item.place for item in corpus.report.skipped] == ["labels.ann", "text.txt"]


def test_two_documents_of_one_name_are_refused(tmp_path: Path) -> None:
    write_corpus("brat", [Document(id="d", text="x")], tmp_path / "a")
    write_corpus("brat", [Document(id="d", text="y")], tmp_path / "b")

    with pytest.raises(InputError, match=r"^b/d\.ann: another document"):
        read_corpus("brat", tmp_path, strict=True)


def test_sample_with_every_kind_of_line_is_read(shared_data: Path) -> None:
    corpus = read_corpus("brat", shared_data / "format_samples" / "brat")

    document = corpus.documents[0]

    assert [document.mention(entity) for entity in document.entities] == [
        "Hepatitis",
        "drug A",
        "rash",
    ]
    assert document.relations == (Relation(type="ADE", head="T2", tail="T1"),)
    assert [item.place for item in corpus.report.skipped] == [
        "sample.ann:6",
        "sample.ann:7",
        "sample.ann:8",
        "sample.ann:5",
    ]


def test_real_corpus_comes_back_the_same(tmp_path: Path, shared_data: Path) -> None:
    documents = read_corpus("spert", shared_data / "conll04" / "spert_dev.json").documents
    write_corpus("brat", documents, tmp_path)

    corpus = read_corpus("brat", tmp_path)

    assert {document.id: document.text for document in corpus.documents} == {
        document.id: document.text for document in documents
    }
    assert (corpus.report.n_entities, corpus.report.n_relations) == (893, 343)
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())
