"""What an alignment says of each label that it leaves out, and what it need not leave out."""

from __future__ import annotations

from typing import Any

import pytest

from annotator.domain import Document, Entity, Relation, WordEntity
from annotator.errors import InputError
from annotator.text import align_document, encode_bioes, to_entities

TEXT = "Severe rash after drug A. No fever with drug B."

SPANS: dict[str, tuple[list[tuple[str, int, int, str]], str, str]] = {
    "nested": (
        [("a", 0, 11, "X"), ("b", 0, 6, "Y")],
        "overlap",
        "0..6 overlaps a, which is kept",
    ),
    "nested at the end": (
        [("a", 0, 11, "X"), ("b", 7, 11, "Y")],
        "overlap",
        "7..11 overlaps a, which is kept",
    ),
    "repeated": (
        [("a", 0, 6, "X"), ("b", 0, 6, "X")],
        "overlap",
        "0..6 has the span of a, which is kept",
    ),
    "relabelled": (
        [("a", 0, 6, "X"), ("b", 0, 6, "Y")],
        "several_labels",
        "0..6 has the span of a, which is kept",
    ),
    "inside a word": (
        [("b", 3, 6, "X")],
        "off_token_edge",
        "3..6 cuts a token",
    ),
    "a blank": ([("b", 6, 7, "X")], "off_token_edge", "6..7 holds no token"),
    "two sentences": (
        [("a", 0, 24, "X"), ("b", 18, 28, "X")],
        "crosses_sentence",
        "18..28 reaches from sentence 0 to 1",
    ),
}


@pytest.mark.parametrize(("spans", "kind", "detail"), SPANS.values(), ids=SPANS.keys())
def test_an_entity_left_out_is_named_with_the_reason(
    spans: list[tuple[str, int, int, str]], kind: str, detail: str
) -> None:
    entities = tuple(Entity(id=i, start=s, end=e, type=t) for i, s, e, t in spans)

    (issue,) = align_document(Document(id="d", text=TEXT, entities=entities)).issues

    assert (issue.document_id, issue.item_id) == ("d", "b")
    assert (issue.kind, issue.detail) == (kind, detail)


def test_a_relation_left_out_is_named_with_its_ends() -> None:
    drug = Entity(id="a", start=18, end=24, type="Drug")
    document = Document(
        id="d", text=TEXT, entities=(drug,), relations=(Relation(type=None, head="a", tail="a"),)
    )

    (issue,) = align_document(document).issues

    assert (issue.document_id, issue.item_id) == ("d", "relations[0]")
    assert issue.detail == "None from a to a"


@pytest.mark.parametrize("key", ["tokens", "sentences"])
def test_meta_that_cannot_be_used_is_named_by_its_key(key: str) -> None:
    meta: dict[str, Any] = {key: "0 6"}

    (issue,) = align_document(Document(id="d", text=TEXT, meta=meta)).issues

    assert (issue.kind, issue.document_id, issue.item_id) == ("unusable_meta", "d", key)
    assert issue.detail


def test_entities_that_touch_are_both_kept() -> None:
    entities = (
        Entity(id="a", start=0, end=6, type="X"),
        Entity(id="b", start=7, end=11, type="X"),
        Entity(id="c", start=12, end=17, type="X"),
    )

    alignment = align_document(Document(id="d", text=TEXT, entities=entities))

    assert alignment.issues == ()
    assert [(e.first, e.last) for e in alignment.sentences[0].entities] == [(0, 0), (1, 1), (2, 2)]


def test_sentences_know_where_they_stand_in_the_document() -> None:
    sentences = align_document(Document(id="d", text=TEXT)).sentences

    assert [TEXT[s.start : s.end] for s in sentences] == [TEXT[:25], TEXT[26:]]


def test_entities_are_numbered_from_e1() -> None:
    sentence = align_document(Document(id="d", text=TEXT)).sentences[0]

    entities, _ = to_entities(sentence.tokens, [WordEntity(type="X", first=0, last=0)])

    assert [entity.id for entity in entities] == ["e1"]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([(1, 3)], "entity ends at word 3 of a sentence of 3 words"),
        ([(0, 1), (1, 2)], "entities overlap at words 1..2"),
    ],
    ids=["past", "overlap"],
)
def test_a_refused_entity_is_named_by_its_words(spans: list[tuple[int, int]], message: str) -> None:
    entities = [WordEntity(type="X", first=first, last=last) for first, last in spans]

    with pytest.raises(InputError, match=message):
        encode_bioes(3, entities)
