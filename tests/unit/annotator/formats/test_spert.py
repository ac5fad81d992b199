from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from annotator.domain import Relation
from annotator.errors import InputError
from annotator.formats import Corpus, read_corpus
from annotator.text import align_document

SENTENCE: dict[str, Any] = {
    "tokens": ["codeine", "intoxication", "in", "Rome"],
    "entities": [
        {"type": "Effect", "start": 0, "end": 2},
        {"type": "Drug", "start": 0, "end": 1},
        {"type": "Loc", "start": 3, "end": 4},
    ],
    "relations": [{"type": "causes", "head": 0, "tail": 1}],
    "orig_id": 7,
}


def _read(folder: Path, value: Any, strict: bool = False) -> Corpus:
    path = folder / "in.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return read_corpus("spert", path, strict=strict)


def test_tokens_become_text_and_keep_their_edges(tmp_path: Path) -> None:
    document = _read(tmp_path, [SENTENCE]).documents[0]

    assert (document.id, document.text) == ("spert-7", "codeine intoxication in Rome")
    assert [document.mention(entity) for entity in document.entities] == [
        "codeine intoxication",
        "codeine",
        "Rome",
    ]
    assert document.relations == (Relation(type="causes", head="e1", tail="e2"),)
    assert align_document(document).sentences[0].words == tuple(SENTENCE["tokens"])


def test_overlap_is_kept_in_the_document_and_dropped_on_alignment(tmp_path: Path) -> None:
    document = _read(tmp_path, [SENTENCE]).documents[0]

    alignment = align_document(document)

    assert len(document.entities) == 3
    assert [issue.kind for issue in alignment.issues] == ["overlap", "relation_lost_entity"]


def test_sentences_of_one_orig_id_are_told_apart_and_share_a_group(tmp_path: Path) -> None:
    others = [{**SENTENCE, "orig_id": "x"}, {**SENTENCE, "orig_id": None}]

    documents = _read(tmp_path, [SENTENCE, SENTENCE, *others]).documents

    assert [(document.id, document.meta.get("group")) for document in documents] == [
        ("spert-7", "spert-7"),
        ("spert-7-2", "spert-7"),
        ("spert-x", None),
        ("spert-n3", None),
    ]


def test_what_is_repeated_or_foreign_is_left_out_and_reported(tmp_path: Path) -> None:
    twice = {
        **SENTENCE,
        "entities": [*SENTENCE["entities"], SENTENCE["entities"][0]],
        "relations": [{"type": "causes", "head": i, "tail": 1} for i in (0, 3)],
        "ltokens": [],
    }

    report = _read(tmp_path, [twice]).report

    assert (report.n_entities, report.n_relations) == (3, 1)
    assert [(item.place, item.reason.split(" of ")[0]) for item in report.skipped] == [
        ("in.json: sentence 0", "entity 3"),
        ("in.json: sentence 0", "relation 1"),
        ("in.json", "1 keys beside tokens, entities, relations and orig_id were left out"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tokens", [], "sentence 0: tokens must"),
        ("tokens", ["a b", "c", "d", "e"], "sentence 0: tokens must"),
        ("tokens", ["a", "", "d", "e"], "sentence 0: tokens must"),
        ("entities", 3, "entities must be a list"),
        ("entities", [{"type": "X", "start": 3, "end": 5}], "entity 0: expected 0 <= start"),
        ("entities", [{"type": "X", "start": 1, "end": 1}], "entity 0: expected 0 <= start"),
        ("entities", [{"type": "X", "start": True, "end": 2}], "entity 0: start must"),
        ("entities", [{"type": "", "start": 1, "end": 2}], "entity 0: type must"),
        ("relations", [{"type": "R", "head": 0, "tail": 3}], "relation 0: relation from entity"),
        ("orig_id", 1.5, "sentence 0: orig_id must"),
    ],
)
def test_malformed_sentence_is_refused_with_its_place(
    tmp_path: Path, key: str, value: Any, expected: str
) -> None:
    with pytest.raises(InputError, match=rf"^in\.json: .*{expected}"):
        _read(tmp_path, [{**SENTENCE, key: value}], strict=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[\n{", "in.json:2: not whole JSON"),
        ("{}", "expected a list"),
        ("[1]", "expected an object"),
    ],
    ids=["broken", "object", "number"],
)
def test_file_that_is_no_list_of_sentences_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        _read(tmp_path, text, strict=True)


def test_id_that_another_sentence_took_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sentence 2: the id spert-7-2 is taken"):
        _read(tmp_path, [SENTENCE, SENTENCE, {**SENTENCE, "orig_id": "7-2"}], strict=True)


@pytest.mark.parametrize(
    ("name", "n_documents", "entities", "relations"),
    [
        (
            "conll04/spert_train",
            922,
            {"Peop": 1087, "Loc": 1219, "Org": 616, "Other": 455},
            {"Live_In": 330, "OrgBased_In": 271, "Located_In": 247, "Work_For": 256, "Kill": 179},
        ),
        (
            "conll04/spert_dev",
            231,
            {"Peop": 283, "Loc": 322, "Org": 170, "Other": 118},
            {"Live_In": 91, "OrgBased_In": 76, "Located_In": 65, "Work_For": 69, "Kill": 42},
        ),
        (
            "conll04/spert_test",
            288,
            {"Peop": 321, "Loc": 427, "Org": 198, "Other": 133},
            {"Live_In": 100, "OrgBased_In": 105, "Located_In": 94, "Work_For": 76, "Kill": 47},
        ),
        (
            "ade/spert_ade_full",
            4272,
            {"Drug": 5063, "Adverse-Effect": 5776},
            {"Adverse-Effect": 6821},
        ),
    ],
    ids=["conll04 train", "conll04 dev", "conll04 test", "ade"],
)
def test_real_corpora_have_the_published_counts(
    shared_data: Path,
    name: str,
    n_documents: int,
    entities: dict[str, int],
    relations: dict[str, int],
) -> None:
    corpus = read_corpus("spert", shared_data / f"{name}.json")

    found = Counter(entity.type for document in corpus.documents for entity in document.entities)
    links = Counter(link.type for document in corpus.documents for link in document.relations)

    assert (corpus.report.n_documents, found, links) == (n_documents, entities, relations)
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


def test_head_of_a_relation_of_ade_is_the_effect(shared_data: Path) -> None:
    documents = read_corpus("spert", shared_data / "ade" / "spert_ade_full.json").documents

    ends = Counter(
        (types[relation.head], types[relation.tail])
        for document in documents
        for types in [{entity.id: entity.type for entity in document.entities}]
        for relation in document.relations
    )

    assert ends == {("Adverse-Effect", "Drug"): 6821}


def test_overlaps_of_ade_stand_in_119_sentences(shared_data: Path) -> None:
    documents = read_corpus("spert", shared_data / "ade" / "spert_ade_full.json").documents

    overlapping = {
        issue.document_id
        for document in documents
        for issue in align_document(document).issues
        if issue.kind == "overlap"
    }

    assert len(overlapping) == 119


def test_folds_of_ade_name_each_sentence_once(shared_data: Path) -> None:
    documents = read_corpus("spert", shared_data / "ade" / "spert_ade_full.json").documents
    rows = [
        line.split("\t")
        for line in (shared_data / "ade" / "spert_folds.tsv").read_text("utf-8").splitlines()
        if line[:1].isdecimal()
    ]

    assert sorted(f"spert-{row[0]}" for row in rows) == sorted(d.id for d in documents)
    assert sorted(Counter(row[1] for row in rows).values()) == [427] * 9 + [429]
