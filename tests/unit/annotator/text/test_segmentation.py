"""Cuts yield to gold, and no sentence is longer than the bound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from annotator.domain import Document, Entity, Relation
from annotator.text import MAX_WORDS, align_document, segment_document

TEXT = "Levels of Serratia. Marcescens fell.\nHe was well."
SPAN = (10, 30)


def _document(text: str, *spans: tuple[int, int], **meta: Any) -> Document:
    entities = tuple(Entity(id=f"e{i}", type="X", start=a, end=b) for i, (a, b) in enumerate(spans))
    return Document(id="d", text=text, entities=entities, meta=meta)


def _pieces(document: Document) -> list[str]:
    return [document.text[s.start : s.end] for s in segment_document(document)[0].sentences]


@pytest.mark.parametrize(
    "meta",
    [{}, {"sentences": [[0, 19], [20, 49]]}, {"tokens": [[0, 6], [10, 18], [20, 30]]}],
    ids=["our cuts", "own sentences", "own tokens"],
)
def test_cut_inside_a_gold_entity_yields(meta: dict[str, Any]) -> None:
    document = replace(
        _document(TEXT, SPAN, (0, 6), **meta),
        relations=(Relation(type="R", head="e0", tail="e1"),),
    )

    alignment = align_document(document)

    assert alignment.issues == ()
    assert (len(alignment.sentences[0].entities), len(alignment.sentences[0].relations)) == (2, 1)


@pytest.mark.parametrize("span", [(10, 20), (19, 30), (10, 19)], ids=["after", "before", "stop"])
def test_entity_that_only_touches_a_cut_leaves_it(span: tuple[int, int]) -> None:
    assert _pieces(_document(TEXT, span)) == _pieces(_document(TEXT))


def test_entity_longer_than_a_sentence_may_be_leaves_all_cuts() -> None:
    text = "Fever rose. " * MAX_WORDS
    document = _document(text, (0, len(text) - 1))

    alignment = align_document(document)

    assert len(alignment.sentences) == MAX_WORDS
    assert [issue.kind for issue in alignment.issues] == ["crosses_sentence"]


@pytest.mark.parametrize(
    ("text", "meta"),
    [
        ("word " * 20_000, {}),
        (("word " * 9 + "word\n") * 500, {}),
        ("x,;" * 4_000, {}),
        ("word " * 2_000, {"sentences": [[0, 10_000]]}),
        ("word " * 2_000, {"tokens": [[5 * i, 5 * i + 2] for i in range(2_000)]}),
    ],
    ids=["blanks", "lines", "no blank", "own sentence", "own tokens"],
)
def test_sentence_without_an_end_is_cut_and_all_of_it_is_covered(
    text: str, meta: dict[str, Any]
) -> None:
    document = _document(text, **meta)

    found, _ = segment_document(document)

    lengths = [len(found.sentence_tokens(i)) for i in range(len(found.sentences))]
    assert max(lengths) == MAX_WORDS
    assert "".join("".join(_pieces(document)).split()) == "".join(text.split())
    assert found.n_length_cuts == len(found.sentences) - 1


def test_cut_for_length_is_before_an_entity_it_would_divide() -> None:
    start = 5 * (MAX_WORDS - 100)

    alignment = align_document(_document("word " * 700, (start, start + 5 * 200 - 1)))

    assert [s.end for s in alignment.sentences] == [start - 1, 3_499]
    assert alignment.issues == ()


def test_sentence_of_just_the_most_words_is_left_whole() -> None:
    found, _ = segment_document(_document("word " * MAX_WORDS))

    assert (len(found.sentences), found.n_length_cuts) == (1, 0)
