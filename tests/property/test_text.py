from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain import Document, Entity, Relation, WordEntity
from annotator.text import (
    align_document,
    count_words,
    decode_bioes,
    encode_bioes,
    segment_document,
    split_sentences,
    tokenize,
)

ALPHABET = [*"aB1.!?()-: \n\r\t\"'", "\u0301", "😀", "é", "²", "\u2028", "\u00a0", "½"]
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=80) | st.text(max_size=40)


@st.composite
def flat_entities(draw: st.DrawFn) -> tuple[int, list[WordEntity]]:
    edges = sorted(draw(st.sets(st.integers(0, 30), max_size=14)))
    names = st.sampled_from(["X", "Y", "a-b"])
    entities = [
        WordEntity(type=draw(names), first=first, last=after - 1)
        for first, after in pairwise(edges)
        if draw(st.booleans())
    ]
    return 30, entities


@st.composite
def labelled_documents(draw: st.DrawFn) -> Document:
    text = draw(TEXTS.filter(bool))
    spans = draw(st.lists(st.tuples(*[st.integers(0, len(text))] * 2), max_size=6))
    entities = [
        Entity(id=f"e{i}", type=draw(st.sampled_from("XY")), start=min(span), end=max(span))
        for i, span in enumerate(spans)
        if span[0] != span[1]
    ]
    ids = [entity.id for entity in entities]
    ends = st.sampled_from(ids or [""])
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=4 * bool(ids)))
    relations = [
        Relation(
            type=draw(st.sampled_from(["R", "S", None])),
            head=head,
            tail=tail,
            bidirectional=draw(st.booleans()),
        )
        for head, tail in pairs
    ]
    return Document(id="d", text=text, entities=tuple(entities), relations=tuple(relations))


@settings(deadline=None)
@given(flat_entities())
def test_tags_decode_to_the_entities_they_encode(case: tuple[int, list[WordEntity]]) -> None:
    n_words, entities = case

    assert decode_bioes(encode_bioes(n_words, entities)) == tuple(entities)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"])))
def test_any_tags_decode_to_flat_entities_over_exactly_the_tagged_words(tags: list[str]) -> None:
    legal = encode_bioes(len(tags), decode_bioes(tags))

    assert [tag.partition("-")[2] for tag in legal] == [tag.partition("-")[2] for tag in tags]


@settings(deadline=None)
@given(TEXTS)
def test_tokens_hold_every_visible_character_once_and_no_other(text: str) -> None:
    held = [i for token in tokenize(text) for i in range(token.start, token.end)]

    assert held == [i for i, char in enumerate(text) if not char.isspace()]


@settings(deadline=None)
@given(TEXTS)
def test_sentences_cover_every_visible_character_once_without_blanks_around(text: str) -> None:
    sentences = split_sentences(text)
    covered = [i for s in sentences for i in range(s.start, s.end)]
    pieces = [text[s.start : s.end] for s in sentences]

    assert len(covered) == len(set(covered))
    assert {i for i, char in enumerate(text) if not char.isspace()} <= set(covered)
    assert pieces == [piece.strip() for piece in pieces]


def spans_of(text: str) -> st.SearchStrategy[list[list[int]]]:
    """Ordered disjoint spans, usable or not: a token may hold blanks or straddle a sentence."""
    edges = st.sets(st.integers(0, len(text)), max_size=12).map(sorted)
    return edges.map(lambda found: [[a, b] for a, b in zip(found[::2], found[1::2], strict=False)])


@settings(deadline=None)
@given(st.data(), TEXTS)
def test_words_are_counted_as_they_are_made(data: st.DataObject, text: str) -> None:
    keys = data.draw(st.sets(st.sampled_from(["tokens", "sentences"])))
    document = Document(id="d", text=text, meta={key: data.draw(spans_of(text)) for key in keys})

    segmentation, _ = segment_document(document)

    assert count_words(document) == [
        (sentence, len(segmentation.sentence_tokens(i)))
        for i, sentence in enumerate(segmentation.sentences)
    ]


@settings(deadline=None)
@given(labelled_documents())
def test_every_label_is_in_a_sentence_or_an_issue(document: Document) -> None:
    alignment = align_document(document)

    n_kept = sum(len(s.entities) + len(s.relations) for s in alignment.sentences)

    assert n_kept + len(alignment.issues) == len(document.entities) + len(document.relations)


@settings(deadline=None)
@given(labelled_documents())
def test_no_entity_is_lost_to_a_cut_alone(document: Document) -> None:
    crossing = {i.item_id for i in align_document(document).issues if i.kind == "crosses_sentence"}

    alone = [replace(document, entities=(e,), relations=()) for e in document.entities]
    assert all(align_document(d).issues == () for d in alone if d.entities[0].id in crossing)


@settings(deadline=None)
@given(labelled_documents())
def test_aligned_entities_lie_on_the_words_that_were_drawn(document: Document) -> None:
    alignment = align_document(document)

    for sentence, drawn in zip(alignment.sentences, alignment.drawn, strict=True):
        for item, entity in zip(sentence.entities, drawn, strict=True):
            first, last = sentence.tokens[item.first], sentence.tokens[item.last]
            assert entity in document.entities
            assert item.type == entity.type
            for left_out in (
                document.text[entity.start : first.start],
                document.text[last.end : entity.end],
            ):
                assert len("".join(left_out.split()).strip(",;:")) <= 2
            assert max(first.start, entity.start) < min(first.end, entity.end)
            assert max(last.start, entity.start) < min(last.end, entity.end)
