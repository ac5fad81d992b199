from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain import Relation
from annotator.errors import InputError
from annotator.formats import Corpus, SkippedItem, read_corpus
from annotator.text import align_document

TEXT = 'Plan :\nStarted  Aspirin for chest\npain and a " grade 2 " rash .\n'
ASPIRIN = 'c="aspirin" 2:1 2:1||t="treatment"'
RASH = 'c="a " grade 2 " rash" 3:2 3:7||t="problem"'
TRAP = 'c="aspirin" 2:1 2:1||r="TrAP"||c="a " grade 2 " rash" 3:2 3:7'


def _make(folder: Path, name: str, *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _read(
    folder: Path, concepts: list[str], relations: list[str], text: str = TEXT, strict: bool = False
) -> Corpus:
    _make(folder, "r.con", *concepts)
    _make(folder, "r.rel", *relations)
    (folder / "r.txt").write_bytes(text.encode())
    return read_corpus("i2b2", folder, strict=strict)


def _mentions(corpus: Corpus) -> list[tuple[str, str]]:
    document = corpus.documents[0]
    return [(entity.type, document.mention(entity)) for entity in document.entities]


def test_concepts_stand_by_line_from_one_and_token_from_zero_to_the_last(tmp_path: Path) -> None:
    corpus = _read(tmp_path, [ASPIRIN, RASH], [TRAP])

    assert _mentions(corpus) == [("treatment", "Aspirin"), ("problem", 'a " grade 2 " rash')]
    assert corpus.documents[0].relations == (Relation(type="TrAP", head="e1", tail="e2"),)
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_each_line_is_a_sentence_of_tokens_between_blanks(tmp_path: Path) -> None:
    document = _read(tmp_path, [ASPIRIN], []).documents[0]

    assert (document.id, document.text) == ("r", TEXT)
    assert [sentence.words for sentence in align_document(document).sentences] == [
        tuple(line.split()) for line in TEXT.splitlines()
    ]


@pytest.mark.parametrize(
    "text", [TEXT.replace("\n", "\r\n"), TEXT.replace(" ", " \t ")], ids=["CR LF", "runs"]
)
def test_white_space_between_tokens_does_not_count(tmp_path: Path, text: str) -> None:
    corpus = _read(tmp_path, [ASPIRIN], [], text)

    assert _mentions(corpus) == [("treatment", "Aspirin")]
    assert corpus.report.repaired == ()


def test_empty_line_counts(tmp_path: Path) -> None:
    corpus = _read(tmp_path, ['c="b" 3:0 3:0||t="test"'], [], "a\n\nb\n")

    assert _mentions(corpus) == [("test", "b")]


def test_concept_over_a_line_end_joins_the_lines_on_alignment(tmp_path: Path) -> None:
    corpus = _read(tmp_path, ['c="chest pain" 2:3 3:0||t="problem"'], [])

    alignment = align_document(corpus.documents[0])

    assert _mentions(corpus) == [("problem", "chest\npain")]
    assert [len(sentence.entities) for sentence in alignment.sentences] == [0, 1]
    assert alignment.issues == ()
    assert corpus.report.repaired == ()


def test_position_is_followed_where_the_quotation_differs(tmp_path: Path) -> None:
    corpus = _read(tmp_path, ['c="ibuprofen" 2:1 2:1||t="treatment"'], [])

    assert _mentions(corpus) == [("treatment", "Aspirin")]
    assert [item.place for item in corpus.report.repaired] == ["r.con:1"]


@pytest.mark.parametrize(
    "position", ["0:0 0:0", "2:9 2:9", "9:0 9:0", "2:2 2:1"], ids=["0", "token", "line", "reversed"]
)
def test_concept_outside_the_record_is_skipped_with_its_relations(
    tmp_path: Path, position: str
) -> None:
    relation = TRAP.replace("2:1 2:1", position)

    corpus = _read(tmp_path, [ASPIRIN.replace("2:1 2:1", position), RASH], [relation])

    assert _mentions(corpus) == [("problem", 'a " grade 2 " rash')]
    assert corpus.report.skipped == (
        SkippedItem(place="r.con:1", reason=f"the record has no tokens at {position}"),
        SkippedItem(
            place="r.rel:1", reason=f"TrAP names a concept at {position}, which was not read"
        ),
    )


def test_treatment_is_the_head_even_where_it_stands_second(tmp_path: Path) -> None:
    turned = 'c="a " grade 2 " rash" 3:2 3:7||r="TrAP"||c="aspirin" 2:1 2:1'

    corpus = _read(tmp_path, [ASPIRIN, RASH], [turned])

    assert corpus.documents[0].relations == (Relation(type="TrAP", head="e1", tail="e2"),)
    assert [item.place for item in corpus.report.repaired] == ["r.rel:1"]


def test_test_is_the_head_and_of_two_problems_the_first(tmp_path: Path) -> None:
    concepts = [
        'c="pain" 3:0 3:0||t="problem"',
        'c="chest" 2:3 2:3||t="test"',
        'c="rash" 3:7 3:7||t="problem"',
    ]
    relations = [
        'c="chest" 2:3 2:3||r="TeRP"||c="pain" 3:0 3:0',
        'c="rash" 3:7 3:7||r="PIP"||c="pain" 3:0 3:0',
    ]

    corpus = _read(tmp_path, concepts, relations)

    assert corpus.documents[0].relations == (
        Relation(type="TeRP", head="e2", tail="e1"),
        Relation(type="PIP", head="e3", tail="e1"),
    )


def test_concept_of_several_types_stands_in_a_relation_by_the_type_it_needs(
    tmp_path: Path,
) -> None:
    both = [ASPIRIN.replace("treatment", "test"), ASPIRIN]

    corpus = _read(tmp_path, [*both, RASH], [TRAP])

    assert corpus.documents[0].relations == (Relation(type="TrAP", head="e2", tail="e3"),)


def test_relation_that_could_mean_several_concepts_is_skipped(tmp_path: Path) -> None:
    both = [ASPIRIN.replace("treatment", "test"), ASPIRIN]

    corpus = _read(tmp_path, [*both, RASH], [TRAP.replace("TrAP", "other")])

    assert corpus.documents[0].relations == ()
    assert [item.place for item in corpus.report.skipped] == ["r.rel:1"]


def test_repeated_lines_are_skipped(tmp_path: Path) -> None:
    corpus = _read(tmp_path, [ASPIRIN, ASPIRIN, RASH], [TRAP, TRAP])

    assert (corpus.report.n_entities, corpus.report.n_relations) == (2, 1)
    assert [item.place for item in corpus.report.skipped] == ["r.con:2", "r.rel:2"]


@pytest.mark.parametrize(
    ("concept", "relation", "place"),
    [
        ('c="a" 2:1||t="test"', TRAP, "r.con:1"),
        ('c="a" 2:1 2:1||t=""', TRAP, "r.con:1"),
        ("x", TRAP, "r.con:1"),
        (ASPIRIN, 'c="a" 2:1 2:1||r="TrAP"', "r.rel:1"),
    ],
    ids=["one position", "no type", "nothing", "one concept"],
)
def test_malformed_line_is_refused_with_its_place(
    tmp_path: Path, concept: str, relation: str, place: str
) -> None:
    with pytest.raises(InputError, match=f"^{place}: "):
        _read(tmp_path, [concept], [relation], strict=True)


def _make_archive(folder: Path) -> None:
    _make(folder / "txt", "r.txt", *TEXT.splitlines())
    _make(folder / "txt", "bare.txt", "no labels")
    _make(folder / "concept", "r.con", ASPIRIN, RASH)
    _make(folder / "concept", "lost.con", ASPIRIN)
    _make(folder / "rel", "r.rel", TRAP)
    _make(folder / "ast", "r.ast", 'c="a " grade 2 " rash" 3:2 3:7||t="problem"||a="present"')


@pytest.mark.parametrize("part", [".", "txt/r.txt"], ids=["folder", "record"])
def test_files_of_a_record_may_lie_in_folders_of_their_own(tmp_path: Path, part: str) -> None:
    _make_archive(tmp_path)

    corpus = read_corpus("i2b2", tmp_path / part)

    assert [document.id for document in corpus.documents] == ["r"]
    assert (corpus.report.n_entities, corpus.report.n_relations) == (2, 1)


def test_files_that_are_not_read_are_reported(tmp_path: Path) -> None:
    _make_archive(tmp_path)

    skipped = read_corpus("i2b2", tmp_path).report.skipped

    assert [item.place for item in skipped] == ["bare.txt", "lost.con", "r.ast"]


def test_record_without_relations_file_is_read_and_reported(tmp_path: Path) -> None:
    _make(tmp_path, "r.txt", *TEXT.splitlines())
    _make(tmp_path, "r.con", ASPIRIN)

    corpus = read_corpus("i2b2", tmp_path)

    assert corpus.report.n_entities == 1
    assert [item.place for item in corpus.report.skipped] == ["r.con"]


def test_text_without_any_concepts_is_refused(tmp_path: Path) -> None:
    _make(tmp_path, "r.txt", "x")

    with pytest.raises(InputError, match=r"has both \.txt and \.con"):
        read_corpus("i2b2", tmp_path, strict=True)


def test_copy_of_a_file_is_read_once_and_another_of_its_name_refused(tmp_path: Path) -> None:
    _make_archive(tmp_path)
    _make(tmp_path / "copy", "r.con", ASPIRIN, RASH)
    n_copied = read_corpus("i2b2", tmp_path).report.n_documents
    _make(tmp_path / "other", "r.con", ASPIRIN)

    with pytest.raises(InputError, match=r"other/r\.con and concept/r\.con differ"):
        read_corpus("i2b2", tmp_path, strict=True)
    assert n_copied == 1


def test_sample_is_read_without_loss(shared_data: Path) -> None:
    corpus = read_corpus("i2b2", shared_data / "format_samples" / "i2b2_2010")

    document = corpus.documents[0]

    assert _mentions(corpus) == [
        ("treatment", "ciprofloxacin"),
        ("problem", "a urinary tract infection"),
        ("test", "The chest x-ray"),
        ("problem", "a small effusion"),
    ]
    assert document.relations == (
        Relation(type="TrAP", head="e1", tail="e2"),
        Relation(type="TeRP", head="e3", tail="e4"),
    )
    assert align_document(document).issues == ()
    assert [item.place for item in corpus.report.skipped] == ["sample-1.ast"]


BLANKS = "Seen .\nThe  man had ' sharp ' chest pain .\n"


@pytest.mark.parametrize(
    ("positions", "way"),
    [(("2:7 2:8", "2:5 2:5"), "counted"), (("2:6 2:7", "2:4 2:4"), "not counted")],
    ids=["with empty tokens", "without"],
)
def test_empty_tokens_count_where_more_quotations_match_so(
    tmp_path: Path, positions: tuple[str, str], way: str
) -> None:
    pain, sharp = positions
    concepts = [
        f'c="chest pain" {pain}||t="problem"',
        f'c="sharp" {sharp}||t="problem"',
        'c="seen" 1:0 1:0||t="problem"',
    ]

    corpus = _read(tmp_path, concepts, [], text=BLANKS)

    document = corpus.documents[0]
    assert [document.mention(entity) for entity in document.entities] == [
        "chest pain",
        "sharp",
        "Seen",
    ]
    assert len(corpus.report.repaired) == (way == "counted")
