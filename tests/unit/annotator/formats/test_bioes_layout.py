from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus, write_corpus
from annotator.text import align_document

DOCUMENT = Document(
    id="d",
    text="Severe rash after  drug A.\r\nNo fever.",
    entities=(
        Entity(id="rash", type="AE", start=0, end=11),
        Entity(id="drug", type="Drug", start=19, end=25),
    ),
    relations=(Relation(type="R", head="rash", tail="drug"),),
    meta={"group": "g"},
)
GOLD = """\
0	B-AE	0	O	O	Severe	O	O	O
0	E-AE	1	O	O	rash	O	O	O
0	O	2	O	O	after	O	O	O
0	B-Drug	3	O	O	drug	O	O	O
0	E-Drug	4	O	O	A	O	O	O
0	O	5	O	O	.	O	O	O

1	4	R

1	O	0	O	O	No	O	O	O
1	O	1	O	O	fever	O	O	O
1	O	2	O	O	.	O	O	O


"""


def _token(sentence: str, i: int, tag: str = "O", word: str = "w") -> str:
    return f"{sentence}\t{tag}\t{i}\tO\tO\t{word}\tO\tO\tO"


def _read(folder: Path, *lines: str, strict: bool = False) -> Corpus:
    path = folder / "in.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_corpus("bioes", path, strict=strict)


def test_layout_is_the_one_of_the_authors(tmp_path: Path) -> None:
    write_corpus("bioes", [DOCUMENT], tmp_path)

    assert (tmp_path / "gold.tsv").read_text(encoding="utf-8") == GOLD


def test_document_comes_back_with_text_offsets_ids_and_meta(tmp_path: Path) -> None:
    write_corpus("bioes", [DOCUMENT, Document(id="empty", text="")], tmp_path)

    assert read_corpus("bioes", tmp_path).documents == (DOCUMENT, Document(id="empty", text=""))


def test_file_without_sidecar_has_a_document_a_sentence(tmp_path: Path) -> None:
    write_corpus("bioes", [DOCUMENT], tmp_path)
    (tmp_path / "gold.sentences.jsonl").unlink()

    first, second = read_corpus("bioes", tmp_path / "gold.tsv").documents

    assert (first.id, first.text) == ("0", "Severe rash after drug A .")
    assert [first.mention(entity) for entity in first.entities] == ["Severe rash", "drug A"]
    assert (second.id, second.entities) == ("1", ())


def test_label_added_by_hand_gets_an_id_of_its_own(tmp_path: Path) -> None:
    write_corpus("bioes", [DOCUMENT], tmp_path)
    (tmp_path / "gold.tsv").write_text(
        GOLD.replace("1	O	1	O	O	fever", "1	S-AE	1	O	O	fever"),
        encoding="utf-8",
    )

    document = read_corpus("bioes", tmp_path).documents[0]

    assert [entity.id for entity in document.entities] == ["rash", "drug", "e3"]


def test_sentence_removed_by_hand_is_reported(tmp_path: Path) -> None:
    write_corpus("bioes", [DOCUMENT], tmp_path)
    (tmp_path / "gold.tsv").write_text(GOLD.split("\n\n1\tO")[0], encoding="utf-8")

    corpus = read_corpus("bioes", tmp_path)

    assert corpus.documents == (DOCUMENT,)
    assert [item.place for item in corpus.report.skipped] == ["gold.sentences.jsonl:3"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("fever", "fewer", r"gold\.sentences\.jsonl:3: the words"),
        ("\n1\tO", "\n7\tO", r"gold\.tsv:10: this sentence is not in"),
    ],
    ids=["other word", "other number"],
)
def test_sidecar_that_does_not_belong_to_the_file_is_refused(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    write_corpus("bioes", [DOCUMENT], tmp_path)
    (tmp_path / "gold.tsv").write_text(GOLD.replace(old, new), encoding="utf-8")

    with pytest.raises(InputError, match=expected):
        read_corpus("bioes", tmp_path, strict=True)


@pytest.mark.parametrize(
    "line",
    ['{"sentence": {"number": 0}}', '{"document": {"id": 1, "text": "", "meta": {}}}', "{}", "x"],
)
def test_damaged_sidecar_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    write_corpus("bioes", [DOCUMENT], tmp_path)
    (tmp_path / "gold.sentences.jsonl").write_text(f"\n{line}\n", encoding="utf-8")

    with pytest.raises(InputError, match=r"gold\.sentences\.jsonl:2"):
        read_corpus("bioes", tmp_path, strict=True)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["0\tO\t0\tw"], "in.tsv:1: expected 9"),
        (["0\t1\tR"], "in.tsv:1: expected 9"),
        ([_token("0", 1)], "in.tsv:1: expected token index 0"),
        ([_token("0", 0, word="a b")], "in.tsv:1: a token must not"),
        ([_token("0", 0, tag="Drug")], "in.tsv:1: in this sentence the tag of word 0"),
        ([_token("0", 0), "", "0\t1\tR"], "in.tsv:3: the relation points past"),
        ([_token("0", 0), "", "0\tx\tR"], "in.tsv:3: expected token index, token"),
        ([_token("0", 0), _token("1", 0), _token("0", 0)], "in.tsv:3: a sentence number"),
        ([_token("0", 0), "0\t0\tR", _token("0", 1)], "in.tsv:3: a token after"),
    ],
    ids=["columns", "no sentence", "index", "blank", "tag", "past", "number", "twice", "after"],
)
def test_malformed_line_is_refused_with_its_place(
    tmp_path: Path, lines: list[str], expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, *lines, strict=True)

    assert str(caught.value).startswith(expected)


def test_relation_into_an_entity_is_repaired_and_one_outside_skipped(tmp_path: Path) -> None:
    tags = ["B-X", "E-X", "O", "S-Y"]
    tokens = [_token("0", i, tag) for i, tag in enumerate(tags)]

    corpus = _read(tmp_path, *tokens, "", "0\t3\tR", "2\t3\tR", "")

    assert corpus.documents[0].relations == (Relation(type="R", head="e1", tail="e2"),)
    assert [item.place for item in corpus.report.repaired] == ["in.tsv:6"]
    assert [item.place for item in corpus.report.skipped] == ["in.tsv:7"]


def test_what_tags_cannot_say_is_an_issue(tmp_path: Path) -> None:
    nested = Document(
        id="d",
        text="drug A rash",
        entities=(
            Entity(id="in", type="Drug", start=0, end=6),
            Entity(id="out", type="AE", start=0, end=11),
        ),
        relations=(Relation(type="R", head="out", tail="in"),),
    )

    report = write_corpus("bioes", [nested], tmp_path)

    assert (report.n_entities, report.n_relations) == (1, 0)
    assert [issue.kind for issue in report.issues] == ["overlap", "relation_lost_entity"]


def test_type_with_a_tab_is_refused(tmp_path: Path) -> None:
    document = Document(id="d", text="x", entities=(Entity(id="e", type="a\tb", start=0, end=1),))

    with pytest.raises(InputError, match="tab"):
        write_corpus("bioes", [document], tmp_path)


def test_split_has_a_pair_of_files_that_stands_alone(tmp_path: Path) -> None:
    other = Document(id="o", text="Fine.")
    write_corpus("bioes", [other, DOCUMENT], tmp_path, splits={"d": "dev", "o": "train"})

    assert read_corpus("bioes", tmp_path / "dev.tsv").documents == (DOCUMENT,)


def test_authors_file_is_read_with_its_errors_reported(shared_data: Path) -> None:
    corpus = read_corpus("bioes", shared_data / "ade" / "giorgi_train.tsv")

    kinds = Counter("relation" in item.reason for item in corpus.report.repaired)

    assert (corpus.report.n_documents, corpus.report.n_relations) == (4215, 6682)
    assert corpus.report.skipped == ()
    assert kinds == {False: 5, True: 5}


def test_ade_comes_back_the_same_gold(tmp_path: Path, shared_data: Path) -> None:
    documents = read_corpus("ade", shared_data / "ade").documents
    expected = [align_document(document).sentences for document in documents]

    write_corpus("bioes", documents, tmp_path)
    found = read_corpus("bioes", tmp_path).documents

    assert [align_document(document).sentences for document in found] == expected
    assert [(document.id, document.text, document.meta) for document in found] == [
        (document.id, document.text, document.meta) for document in documents
    ]
