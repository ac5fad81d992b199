from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain import Document, Entity, Relation
from annotator.formats import Corpus, read_corpus, write_corpus
from annotator.formats.brat import file_stem
from annotator.formats.mentions import ClaimedSpan, settle_spans
from annotator.text import align_document, segment_document

ALPHABET = [*"aB1.!?() \n\t\"\\'", "\r\n", "\u0301", "😀", "é", "\u2028", "\u0085", "\0", "\ufeff"]
TEXTS = st.lists(st.sampled_from(ALPHABET), max_size=50).map("".join)
NAMES = st.text(st.sampled_from([*"aZ0 -./%~", "é", "😀", "\u2028"]), min_size=1, max_size=6)
COUNTINGS = [("utf-32-le", 4), ("utf-16-le", 2), ("utf-8", 1)]
BRAT_TYPES = st.text(st.sampled_from([*"aZ0-.%~/", "é", "😀"]), min_size=1, max_size=4)
SCORES = st.none() | st.floats(0, 1)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Anything the canonical format can say."""
    text = draw(TEXTS)
    spans = draw(st.lists(st.tuples(*[st.integers(0, len(text))] * 2), max_size=5))
    entities = tuple(
        Entity(id=f"e{i}", type=draw(NAMES), start=min(span), end=max(span), score=draw(SCORES))
        for i, span in enumerate(spans)
        if span[0] != span[1]
    )
    ends = st.sampled_from([entity.id for entity in entities] or [""])
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=3 * bool(entities)))
    relations = tuple(
        Relation(
            type=draw(st.none() | NAMES),
            head=head,
            tail=tail,
            bidirectional=draw(st.booleans()),
            score=draw(SCORES),
        )
        for head, tail in pairs
    )
    meta = draw(st.dictionaries(NAMES, st.none() | st.integers() | NAMES, max_size=2))
    return Document(id=draw(NAMES), text=text, entities=entities, relations=relations, meta=meta)


@st.composite
def expressible_documents(draw: st.DrawFn) -> Document:
    """What BIOES can say: flat entities on tokens, relations inside a sentence."""
    text = draw(TEXTS)
    segmentation, _ = segment_document(Document(id="d", text=text))
    entities: list[Entity] = []
    relations: list[Relation] = []
    for i in range(len(segmentation.sentences)):
        tokens = segmentation.sentence_tokens(i)
        edges = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=5)))
        here = [
            Entity(
                id=f"s{i}-{first}",
                type=draw(st.sampled_from(["X", "a-b"])),
                start=tokens[first].start,
                end=tokens[after - 1].end,
            )
            for first, after in pairwise(edges)
        ]
        ends = st.sampled_from([entity.id for entity in here] or [""])
        pairs = draw(st.sets(st.tuples(ends, ends), max_size=2 * bool(here)))
        relations += [Relation(type="R", head=head, tail=tail) for head, tail in sorted(pairs)]
        entities += here
    return Document(id=draw(NAMES), text=text, entities=tuple(entities), relations=tuple(relations))


@st.composite
def brat_documents(draw: st.DrawFn) -> Document:
    """What brat can say: types without blanks, spans that no line break begins or ends."""
    text = draw(TEXTS).replace("\0", "-")
    edges = st.integers(0, len(text))
    spans = [
        (start, end)
        for start, end in draw(st.lists(st.tuples(edges, edges), max_size=6))
        if start < end and not {text[start], text[end - 1]} & {"\r", "\n"}
    ]
    entities = tuple(
        Entity(id=f"T{n}", type=draw(BRAT_TYPES), start=start, end=end)
        for n, (start, end) in enumerate(spans, start=1)
    )
    ends = st.sampled_from([entity.id for entity in entities] or [""])
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=3 * bool(entities)))
    relations = tuple(Relation(type=draw(BRAT_TYPES), head=a, tail=b) for a, b in pairs)
    return Document(id=draw(NAMES), text=text, entities=entities, relations=relations)


def _there_and_back(name: str, written: list[Document]) -> Corpus:
    with TemporaryDirectory() as folder:
        write_corpus(name, written, Path(folder))
        return read_corpus(name, Path(folder))


@settings(deadline=None)
@given(st.lists(documents(), min_size=1, max_size=3, unique_by=lambda document: document.id))
def test_jsonl_comes_back_as_it_was(written: list[Document]) -> None:
    corpus = _there_and_back("jsonl", written)

    assert corpus.documents == tuple(written)
    assert (corpus.report.skipped, corpus.report.repaired) == ((), ())


@settings(deadline=None)
@given(
    st.lists(
        expressible_documents(), min_size=1, max_size=3, unique_by=lambda document: document.id
    )
)
def test_bioes_comes_back_as_it_was_where_it_can_say_it(written: list[Document]) -> None:
    assert _there_and_back("bioes", written).documents == tuple(written)


@settings(deadline=None)
@given(documents())
def test_bioes_comes_back_with_the_sentences_that_were_aligned(document: Document) -> None:
    returned = _there_and_back("bioes", [document]).documents[0]

    known = [replace(s, is_complete=True) for s in align_document(document).sentences]
    assert list(align_document(returned).sentences) == known


@settings(deadline=None)
@given(st.lists(brat_documents(), min_size=1, max_size=3, unique_by=lambda document: document.id))
def test_brat_comes_back_as_it_was_where_it_can_say_it(written: list[Document]) -> None:
    corpus = _there_and_back("brat", written)

    assert sorted(corpus.documents, key=lambda document: document.id) == sorted(
        written, key=lambda document: document.id
    )
    assert corpus.report.skipped == ()
    assert {item.reason for item in corpus.report.repaired} <= {"the byte order mark was taken off"}


@settings(deadline=None)
@given(brat_documents(), st.randoms())
def test_order_of_brat_lines_changes_no_label(document: Document, random: Random) -> None:
    with TemporaryDirectory() as folder:
        write_corpus("brat", [document], Path(folder))
        [labels] = Path(folder).glob("*.ann")
        lines = labels.read_bytes().split(b"\n")
        random.shuffle(lines)
        labels.write_bytes(b"\n".join(lines))

        found = read_corpus("brat", Path(folder)).documents[0]

    assert set(found.entities) == set(document.entities)
    assert sorted(map(repr, found.relations)) == sorted(map(repr, document.relations))


@settings(deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=4))
def test_spans_counted_in_any_way_come_to_stand_on_their_mentions(
    text: str, places: list[tuple[int, int]]
) -> None:
    spans = [(start, start + size) for start, size in places if start + size <= len(text)]
    counted = [
        ClaimedSpan(
            id=str(i),
            start=len(text[:start].encode(encoding)) // width,
            end=len(text[:end].encode(encoding)) // width,
            mention=text[start:end],
        )
        for encoding, width in COUNTINGS
        for i, (start, end) in enumerate(spans)
    ]

    settled = [
        settle_spans(text, counted[i * len(spans) : (i + 1) * len(spans)])
        for i in range(len(COUNTINGS))
    ]

    assert [found.misfits for found in settled] == [()] * len(COUNTINGS)
    assert all(
        text[span.start : span.end] == span.mention for found in settled for span in found.kept
    )


@settings(deadline=None)
@given(st.sets(st.text(max_size=8), max_size=8))
def test_different_ids_have_different_file_names(ids: set[str]) -> None:
    assert len({file_stem(name) for name in ids}) == len(ids)
