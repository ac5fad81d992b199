from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from annotator.domain import Relation
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


def _read(folder: Path, text: str) -> Corpus:
    path = folder / "train.txt"
    path.write_text(text, encoding="utf-8")
    return read_corpus("conll04", folder)


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
        _read(tmp_path, BLOCK.replace(old, new))


def test_repeated_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.txt:6: .* id of its own"):
        _read(tmp_path, BLOCK * 2)


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
