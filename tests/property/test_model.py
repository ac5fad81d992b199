"""Properties of the model room on any input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bert import TINY_SCHEMA, make_tiny_encoder

from annotator.domain import WordEntity
from annotator.model import JointModel, ModelConfig, Predictor, load_encoder
from annotator.model.batch import plan_batches
from annotator.model.decoding import decode_constrained, find_spans, legal_mask
from annotator.model.pieces import cut_windows
from annotator.text import decode_bioes, encode_bioes, tag_names

NAMES = tag_names(("X", "Y"))


@st.composite
def entity_lists(draw: st.DrawFn) -> tuple[int, list[WordEntity]]:
    pieces = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=6))
    entities, position = [], 0
    for gap, length in pieces:
        first = position + gap
        position = first + length
        type_ = draw(st.sampled_from(["X", "Y"]))
        entities.append(WordEntity(type=type_, first=first, last=position - 1))
    return position + draw(st.integers(1, 3)), entities


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = ModelConfig(schema=TINY_SCHEMA, encoder=str(folder), max_pieces=24)
        return Predictor(JointModel(load_encoder(str(folder)), config), token_budget=60)


@settings(deadline=None)
@given(entity_lists())
def test_spans_of_encoded_entities_are_those_entities(
    case: tuple[int, list[WordEntity]],
) -> None:
    n_words, entities = case
    tags = torch.tensor([[NAMES.index(tag) for tag in encode_bioes(n_words, entities)]])

    spans = find_spans(tags)

    ends = spans.ends[0].nonzero().flatten().tolist()
    assert legal_mask(tags).all()
    assert [(int(spans.first[0, n]), n) for n in ends] == [(e.first, e.last) for e in entities]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_decoded_tags_are_always_legal_bioes(seed: int, n_words: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, n_words, len(NAMES), generator=generator) * 4

    tags = decode_constrained(scores, word_mask=torch.ones(2, n_words, dtype=torch.bool))

    names = [[NAMES[tag] for tag in row] for row in tags.tolist()]
    assert [encode_bioes(n_words, decode_bioes(row)) for row in names] == names


@settings(deadline=None)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=200), st.integers(16, 60))
def test_each_word_lies_whole_in_its_own_window(lengths: list[int], capacity: int) -> None:
    ends = np.cumsum(lengths)
    first = ends - lengths

    windows = cut_windows(first, int(ends[-1]), capacity=capacity)

    assert (windows.end - windows.start).max() <= capacity
    assert (windows.start[windows.owner] <= first).all()
    assert (ends <= windows.end[windows.owner]).all()
    assert (windows.end - windows.start).sum() <= 2 * ends[-1] + capacity


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=60, max_size=400), st.integers(48, 120))
def test_words_at_a_seam_keep_an_eighth_of_the_window_as_context_on_both_sides(
    lengths: list[int], capacity: int
) -> None:
    ends = np.cumsum(lengths)
    first, n_pieces = ends - lengths, int(ends[-1])

    windows = cut_windows(first, n_pieces, capacity=capacity)

    start, end = windows.start[windows.owner], windows.end[windows.owner]
    left = (first - start)[start > 0]
    right = (end - ends)[end < n_pieces]
    longest = max(lengths)
    least = capacity // 8 - longest  # the overlap begins at a word, up to one word late
    assert left.min(initial=n_pieces) >= least
    assert right.min(initial=n_pieces) >= least - longest


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=300), st.integers(60, 200))
def test_windows_go_on_to_the_right_and_cover_everything(lengths: list[int], capacity: int) -> None:
    ends = np.cumsum([0, *lengths])
    first, n_pieces = ends[:-1], int(ends[-1])

    windows = cut_windows(first, n_pieces, capacity=capacity)

    assert (np.diff(windows.start) > 0).all()
    assert (np.diff(windows.end) > 0).all()
    assert (windows.start[1:] <= windows.end[:-1]).all()
    assert (windows.start[0], windows.end[-1]) == (0, n_pieces)
    assert (np.diff(windows.owner) >= 0).all()
    assert (windows.end - windows.start).sum() <= 2 * n_pieces + capacity


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 2000))
def test_planned_batches_hold_each_sentence_once(costs: list[int], budget: int) -> None:
    batches = plan_batches(costs, token_budget=budget)

    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(costs)))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.text(max_size=6), max_size=40), max_size=4))
def test_any_words_are_predicted_and_relations_join_entities_that_are_there(
    predictor: Predictor, sentences: list[list[str]]
) -> None:
    found = predictor.predict(sentences)

    assert [one.signals["n_words"] for one in found] == [len(words) for words in sentences]
    assert all(np.isfinite(list(one.signals.values())).all() for one in found)
    ends = [
        (relation.head, relation.tail, len(one.entities))
        for one in found
        for relation in one.relations
    ]
    assert all(0 <= head < n and 0 <= tail < n and head != tail for head, tail, n in ends)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["ab😀", "the", "rash"]), max_size=30), max_size=4))
def test_batched_predictions_equal_those_one_by_one(
    predictor: Predictor, sentences: list[list[str]]
) -> None:
    together = predictor.predict(sentences)

    alone = [predictor.predict([words])[0] for words in sentences]

    joined = [list(one.signals.values()) for one in together]
    single = [list(one.signals.values()) for one in alone]
    np.testing.assert_allclose(joined, single, rtol=2e-2, atol=1e-2)
    np.testing.assert_allclose(
        [one.embedding for one in together], [one.embedding for one in alone], atol=1e-4
    )
