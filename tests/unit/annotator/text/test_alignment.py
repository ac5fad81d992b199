from __future__ import annotations

from typing import Any

import pytest

from annotator.domain import (
    Document,
    Entity,
    LabelSchema,
    Relation,
    WordEntity,
    WordRelation,
)
from annotator.text import align_document, to_entities

TEXT = "Severe rash after drug A. No fever with drug B."


def _entity(name: str, start: int, end: int, type_: str = "X") -> Entity:
    return Entity(id=name, type=type_, start=start, end=end)


def _document(*entities: Entity, relations: tuple[Relation, ...] = (), **meta: Any) -> Document:
    return Document(id="d", text=TEXT, entities=entities, relations=relations, meta=meta)


def _issues(document: Document) -> list[tuple[str, str]]:
    return [(issue.kind, issue.item_id) for issue in align_document(document).issues]


def test_labels_are_mapped_to_words_in_order_of_position() -> None:
    document = _document(
        _entity("drug", 18, 24, "Drug"),
        _entity("rash", 0, 11, "AE"),
        relations=(Relation(type="R", head="rash", tail="drug"),),
    )

    sentence = align_document(document).sentences[0]

    assert sentence.id == "d#0"
    assert sentence.words == ("Severe", "rash", "after", "drug", "A", ".")
    assert sentence.entities == (
        WordEntity(type="AE", first=0, last=1),
        WordEntity(type="Drug", first=3, last=4),
    )
    assert sentence.relations == (WordRelation(type="R", head=0, tail=1),)


@pytest.mark.parametrize(
    ("entities", "expected"),
    [
        ([("a", 0, 6), ("b", 0, 11)], [("overlap", "a")]),
        ([("a", 0, 11), ("b", 7, 22)], [("overlap", "a")]),
        ([("a", 7, 17), ("b", 12, 22)], [("overlap", "b")]),
        ([("a", 0, 6), ("b", 0, 6)], [("overlap", "b")]),
        ([("a", 0, 6), ("b", 0, 6, "Y")], [("several_labels", "b")]),
        ([("a", 3, 6)], [("off_token_edge", "a")]),
        ([("a", 6, 7)], [("off_token_edge", "a")]),
        ([("a", 0, 24), ("b", 18, 28)], [("crosses_sentence", "b")]),
        ([("a", 0, 6), ("b", 3, 11)], [("off_token_edge", "b")]),
    ],
    ids=[
        *("nested", "longer wins", "equal length", "repeated", "relabelled", "inside a word"),
        *("blank", "across and shorter", "misfit does not oust"),
    ],
)
def test_entity_that_tags_cannot_say_is_one_issue(
    entities: list[tuple[Any, ...]], expected: list[tuple[str, str]]
) -> None:
    assert _issues(_document(*(_entity(*entity) for entity in entities))) == expected


@pytest.mark.parametrize(
    ("drawn", "meant"),
    [
        ("_rash _", "rash"),
        ("_\nrash_", "rash"),
        ("_rash,_", "rash"),
        ("_rash; _", "rash"),
        ("_: rash_", "rash"),
        ("_,_", ","),
        ("_aspiri_n", "aspirin"),
        ("a_spirin_", "aspirin"),
        ("as_piri_n", None),
        ("_aspirin f_or", "aspirin"),
        ("_aspirin fo_r", "aspirin for"),
        ("_Penicillin_allergie", None),
        ("_m_g", None),
        ("5_ m_g", None),
        ("_5 m_g", "5"),
        ("患者服用_阿司匹林_后", None),
        ("_阿司匹林_", "阿司匹林"),
        ("вы_сып_ь", None),
    ],
)
def test_an_edge_beside_a_word_is_moved_to_it_and_a_cut_in_a_word_is_not(
    drawn: str, meant: str | None
) -> None:
    before, mention, after = drawn.split("_")
    entity = Entity(id="a", type="X", start=len(before), end=len(before) + len(mention))
    document = Document(id="d", text=before + mention + after, entities=(entity,))

    alignment = align_document(document)

    (sentence,) = alignment.sentences
    found = [
        document.text[sentence.tokens[e.first].start : sentence.tokens[e.last].end]
        for e in sentence.entities
    ]
    assert found == ([] if meant is None else [meant])
    assert sentence.is_complete == (meant is not None)
    assert alignment.n_snapped == (meant is not None and meant != mention)


def test_tokens_that_came_with_a_document_keep_a_comma_at_an_edge() -> None:
    document = Document(
        id="d",
        text="U.S. ,",
        entities=(Entity(id="a", type="Loc", start=0, end=6),),
        meta={"tokens": [[0, 4], [5, 6]]},
    )

    assert align_document(document).sentences[0].entities == (
        WordEntity(type="Loc", first=0, last=1),
    )


@pytest.mark.parametrize(
    ("relation", "is_complete"),
    [
        (Relation(type=None, head="a", tail="b"), False),
        (Relation(type="R", head="a", tail="b", bidirectional=True), False),
        (Relation(type=None, head="a", tail="far"), True),
        (Relation(type="R", head="a", tail="nested"), True),
    ],
    ids=["without a type", "both ways", "between sentences", "to what is not kept"],
)
def test_a_sentence_with_a_relation_that_is_not_learnt_is_incomplete(
    relation: Relation, is_complete: bool
) -> None:
    document = _document(
        *(_entity("a", 0, 11), _entity("b", 18, 24), _entity("far", 29, 34)),
        _entity("nested", 7, 11),
        relations=(relation,),
    )

    assert [s.is_complete for s in align_document(document).sentences] == [is_complete, True]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("causes", "Drug", "AE"), ("treats", "AE", "Drug")], "causes"),
        ([("causes", "Drug", "AE"), ("treats", "Drug", "AE")], None),
        ([("treats", "AE", "Drug")], "causes"),
        ([], None),
    ],
    ids=["one fits", "two fit", "the other is restricted", "both are free"],
)
def test_a_relation_without_a_type_gets_the_only_one_that_is_allowed(
    pairs: list[tuple[str, str, str]], expected: str | None
) -> None:
    document = _document(
        *(_entity("rash", 0, 11, "AE"), _entity("drug", 18, 24, "Drug")),
        relations=(Relation(type=None, head="drug", tail="rash"),),
    )
    schema = LabelSchema(
        entity_types=("AE", "Drug"), relation_types=("causes", "treats"), pairs=frozenset(pairs)
    )

    alignment = align_document(document, schema=schema)

    found = [relation.type for s in alignment.sentences for relation in s.relations]
    assert found == ([] if expected is None else [expected])
    assert alignment.n_finished == (expected is not None)


@pytest.mark.parametrize(
    ("relation", "kind"),
    [
        (Relation(type=None, head="a", tail="b"), "relation_unlabelled"),
        (Relation(type="R", head="a", tail="b", bidirectional=True), "relation_bidirectional"),
        (Relation(type="R", head="a", tail="far"), "relation_across_sentences"),
        (Relation(type="R", head="a", tail="b"), "duplicate_relation"),
        (Relation(type="R", head="a", tail="nested"), "relation_lost_entity"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_relation_that_a_sentence_cannot_say_is_one_issue(relation: Relation, kind: str) -> None:
    document = _document(
        *(_entity("a", 0, 11), _entity("b", 18, 24), _entity("far", 29, 34)),
        _entity("nested", 7, 11),
        relations=(Relation(type="R", head="a", tail="b"), relation),
    )

    assert _issues(document) == [("overlap", "nested"), (kind, "relations[1]")]


def test_own_tokens_and_sentences_of_a_document_are_used() -> None:
    document = _document(tokens=[[0, 4], [4, 6], [26, 28]], sentences=[[0, 25], [26, 47]])

    sentences = align_document(document).sentences

    assert [sentence.words for sentence in sentences] == [("Seve", "re"), ("No",)]


def test_own_token_over_a_boundary_of_ours_joins_the_sentences() -> None:
    document = Document(
        id="d", text="Felt pain.Then left. Done.", meta={"tokens": [[5, 14], [21, 25]]}
    )

    sentences = align_document(document).sentences

    assert [(sentence.words, sentence.end) for sentence in sentences] == [
        (("pain.Then",), 20),
        (("Done",), 26),
    ]


@pytest.mark.parametrize(
    "meta",
    [
        {"tokens": "0 6"},
        {"tokens": [[0, 6, 7]]},
        {"tokens": [[0, 6], [3, 9]]},
        {"tokens": [[0, 600]]},
        {"tokens": [[0, True]]},
        {"tokens": [[0, 11]]},
        {"sentences": [[5, 5]]},
        {"tokens": [[0, 6]], "sentences": [[2, 10]]},
    ],
    ids=["text", "triple", "overlap", "past", "boolean", "blank", "empty", "straddling"],
)
def test_meta_that_cannot_be_used_is_reported_and_our_own_splitter_used(
    meta: dict[str, Any],
) -> None:
    alignment = align_document(_document(**meta))

    assert [issue.kind for issue in alignment.issues] == ["unusable_meta"]
    assert alignment.sentences[0].words[0] == "Severe"


@pytest.mark.parametrize(
    ("meta", "group", "expected"),
    [({}, None, "d"), ({"group": "g"}, None, "g"), ({"group": "g"}, "mine", "mine")],
    ids=["document", "meta", "argument"],
)
def test_group_is_argument_then_meta_then_document(
    meta: dict[str, str], group: str | None, expected: str
) -> None:
    assert align_document(_document(**meta), group=group).sentences[0].group == expected


def test_word_labels_come_back_to_document_offsets() -> None:
    sentence = align_document(_document()).sentences[1]
    found = [
        WordEntity(type="AE", first=1, last=1),
        WordEntity(type="Drug", first=3, last=4, score=0.5),
    ]

    entities, relations = to_entities(
        sentence.tokens, found, [WordRelation(type="R", head=0, tail=1, score=0.25)], prefix="s1-"
    )

    assert entities == (
        Entity(id="s1-1", type="AE", start=29, end=34),
        Entity(id="s1-2", type="Drug", start=40, end=46, score=0.5),
    )
    assert relations == (Relation(type="R", head="s1-1", tail="s1-2", score=0.25),)


def test_empty_document_has_no_sentence() -> None:
    assert align_document(Document(id="d", text=" \n")).sentences == ()
