from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.formats import write_corpus
from annotator.formats.brat import file_stem


def _entity(name: str, start: int, end: int, type_: str = "AE") -> Entity:
    return Entity(id=name, type=type_, start=start, end=end)


def _written(folder: Path, name: str) -> str:
    return (folder / name).read_bytes().decode("utf-8")


def test_text_and_labels_are_written_beside_each_other(tmp_path: Path) -> None:
    document = Document(
        id="d",
        text="😀 itching\r\narm, A",
        entities=(_entity("x", 2, 14), _entity("y", 16, 17, "Drug"), _entity("z", 2, 9)),
        relations=(Relation(type="R", head="x", tail="y"),),
    )

    report = write_corpus("brat", [document], tmp_path)

    assert _written(tmp_path, "d.txt") == document.text
    assert _written(tmp_path, "d.ann") == (
        "T1\tAE 2 9;11 14\titching arm\n"
        "T2\tDrug 16 17\tA\n"
        "T3\tAE 2 9\titching\n"
        "R1\tR Arg1:T1 Arg2:T2\t\n"
    )
    assert (report.n_entities, report.n_relations, report.issues) == (3, 1, ())


def test_what_brat_cannot_say_is_an_issue_each(tmp_path: Path) -> None:
    document = Document(
        id="d",
        text="a\nb c",
        entities=(_entity("a", 0, 1), _entity("b", 1, 3), _entity("c", 4, 5, "two words")),
        relations=(
            Relation(type=None, head="a", tail="a"),
            Relation(type="R", head="a", tail="a", bidirectional=True),
            Relation(type="R", head="a", tail="b"),
            Relation(type="R S", head="a", tail="a"),
        ),
    )

    report = write_corpus("brat", [document], tmp_path)

    assert [(issue.kind, issue.item_id) for issue in report.issues] == [
        ("not_expressible", "b"),
        ("not_expressible", "c"),
        ("relation_unlabelled", "relations[0]"),
        ("relation_bidirectional", "relations[1]"),
        ("relation_lost_entity", "relations[2]"),
        ("not_expressible", "relations[3]"),
    ]
    assert _written(tmp_path, "d.ann") == "T1\tAE 0 1\ta\n"


@pytest.mark.parametrize(
    ("document_id", "stem"),
    [
        ("pmid-12.3_a", "pmid-12.3_a"),
        ("../x y", "%2E.%2Fx%20y"),
        ("a%2Fb", "a%252Fb"),
        (".", "%2E"),
        ("é", "%C3%A9"),
    ],
)
def test_file_name_is_safe(document_id: str, stem: str) -> None:
    assert file_stem(document_id) == stem


def test_long_ids_that_differ_at_their_end_have_different_short_names() -> None:
    first, second = file_stem("x" * 1000 + "1"), file_stem("x" * 1000 + "2")

    assert first != second
    assert len(first) < 230


def test_ids_that_differ_in_case_alone_do_not_share_a_file(tmp_path: Path) -> None:
    documents = [Document(id=name, text=name) for name in ("ab", "Ab", "AB")]

    report = write_corpus("brat", documents, tmp_path)

    assert len({path.name.casefold() for path in report.files}) == 7


def test_documents_of_a_split_lie_in_its_folder(tmp_path: Path) -> None:
    write_corpus("brat", [Document(id="d", text="x")], tmp_path, splits={"d": "dev"})

    assert _written(tmp_path, "dev/d.txt") == "x"
