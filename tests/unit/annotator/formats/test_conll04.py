from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from annotator.domain import Relation, TaggedSentence
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document

BLOCK = """\
#doc 5378
0	United	B-Loc	['N']	[0]
1	States	I-Loc	['N']	[1]
2	Rutherford	B-Peop	['N']	[2]
3	Hayes	I-Peop	['Live_In', 'Kill']	[1, 1]
"""


def _read(folder: Path, text: str, strict: bool = False) -> Corpus:
    path = folder / "train.txt"
    path.write_text(text, encoding="utf-8")
    return read_corpus("conll04", folder, strict=strict)


def test_words_become_text_and_keep_their_own_tokens(tmp_path: Path) -> None:
    document = _read(tmp_path, BLOCK).documents[0]

    assert (document.id, document.text) == ("conll04-5378", "United States Rutherford Hayes")
    assert [document.mention(entity) for entity in document.entities] == [
        "United States",
        "Rutherford Hayes",
    ]
    assert document.relations == (
        Relation(type="Live_In", head="e2", tail="e1"),
        Relation(type="Kill", head="e2", tail="e1"),
    )
    assert align_document(document).sentences[0].words == tuple(document.text.split())


def test_stray_inside_tag_begins_an_entity_and_is_reported(tmp_path: Path) -> None:
    corpus = _read(tmp_path, BLOCK.replace("B-Loc", "O"))

    assert corpus.documents[0].mention(corpus.documents[0].entities[0]) == "States"
    assert [item.place for item in corpus.report.repaired] == ["train.txt:1"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("#doc 5378\n", "", 1),
        ("\tB-Loc", "", 2),
        ("1\tStates", "7\tStates", 3),
        ("B-Peop", "Peop", 4),
        ("[2]", "[__import__('os')]", 4),
        ("[1, 1]", "[1]", 5),
        ("[1, 1]", "[0, 1]", 5),
        ("United\t", "Uni ted\t", 2),
    ],
    ids=["no doc", "columns", "index", "tag", "code", "lengths", "not an end", "blank"],
)
def test_malformed_line_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, place: int
) -> None:
    with pytest.raises(InputError, match=rf"train\.txt:{place}: "):
        _read(tmp_path, BLOCK.replace(old, new), strict=True)


def test_repeated_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.txt:6: .* id of its own"):
        _read(tmp_path, BLOCK * 2, strict=True)


@pytest.mark.parametrize(
    ("name", "n_documents", "n_relations", "types", "n_repaired"),
    [
        ("train", 910, 1273, {"Peop": 1145, "Loc": 1204, "Org": 596, "Other": 448}, 2),
        ("dev", 243, 353, {"Peop": 225, "Loc": 337, "Org": 190, "Other": 125}, 0),
        ("test", 288, 422, {"Peop": 321, "Loc": 427, "Org": 198, "Other": 133}, 0),
    ],
    ids=["train", "dev", "test"],
)
def test_real_corpus_has_the_published_counts(
    shared_data: Path,
    name: str,
    n_documents: int,
    n_relations: int,
    types: dict[str, int],
    n_repaired: int,
) -> None:
    corpus = read_corpus("conll04", shared_data / "conll04" / f"{name}.txt")

    found = Counter(entity.type for document in corpus.documents for entity in document.entities)
    issues = [issue for document in corpus.documents for issue in align_document(document).issues]

    assert (corpus.report.n_documents, corpus.report.n_relations) == (n_documents, n_relations)
    assert (found, len(corpus.report.repaired), issues) == (types, n_repaired, [])


def test_stray_inside_tags_of_the_real_corpus_begin_entities(shared_data: Path) -> None:
    corpus = read_corpus("conll04", shared_data / "conll04" / "train.txt")
    documents = {
        document.id: align_document(document).sentences[0] for document in corpus.documents
    }

    assert [item.reason for item in corpus.report.repaired] == [
        "document 4295: I- without B- at token 31 begins an entity",
        "document 1395: I- without B- at token 34 begins an entity",
    ]
    assert ("Org", 34, 35) in _spans(documents["conll04-1395"])
    assert ("Loc", 31, 35) in _spans(documents["conll04-4295"])


def test_strayed_entity_of_document_4295_is_an_argument_of_two_relations(
    shared_data: Path,
) -> None:
    corpus = read_corpus("conll04", shared_data / "conll04" / "train.txt")
    document = next(document for document in corpus.documents if document.id == "conll04-4295")
    sentence = align_document(document).sentences[0]
    stray = _spans(sentence).index(("Loc", 31, 35))

    assert sum(stray in (link.head, link.tail) for link in sentence.relations) == 2


def test_arguments_of_the_real_corpus_have_fixed_types(shared_data: Path) -> None:
    documents = [
        document
        for name in ("train", "dev", "test")
        for document in read_corpus("conll04", shared_data / "conll04" / f"{name}.txt").documents
    ]

    ends = {
        (relation.type, types[relation.head], types[relation.tail])
        for document in documents
        for types in [{entity.id: entity.type for entity in document.entities}]
        for relation in document.relations
    }

    assert len(documents) == 1441
    assert ends == {
        ("Live_In", "Peop", "Loc"),
        ("OrgBased_In", "Org", "Loc"),
        ("Located_In", "Loc", "Loc"),
        ("Work_For", "Peop", "Org"),
        ("Kill", "Peop", "Peop"),
    }


def test_test_sentences_are_those_of_spert(shared_data: Path) -> None:
    folder = shared_data / "conll04"
    ours = read_corpus("conll04", folder / "test.txt").documents
    theirs = read_corpus("spert", folder / "spert_test.json").documents

    assert {document.id.split("-")[1] for document in ours} == {
        document.id.split("-")[1] for document in theirs
    }


def _spans(sentence: TaggedSentence) -> list[tuple[str, int, int]]:
    return [(entity.type, entity.first, entity.last) for entity in sentence.entities]
