from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from annotator.domain import LabelSchema
from annotator.model import JointModel, ModelConfig
from annotator.model.candidates import CandidateSet
from annotator.model.heads import Biaffine, NerHead, PairContext, RangeMaximum, RelationHead


def slow_biaffine(layer: Biaffine, heads: Tensor, tails: Tensor) -> Tensor:
    assert layer.U is not None
    scores = torch.zeros(*heads.shape[:2], tails.shape[1], layer.n_classes, dtype=heads.dtype)
    for b in range(heads.shape[0]):
        for i in range(heads.shape[1]):
            for j in range(tails.shape[1]):
                for r in range(layer.n_classes):
                    value = heads[b, i] @ layer.U[:, r, :] @ tails[b, j]
                    value = value + layer.linear_head.weight[r] @ heads[b, i]
                    value = value + layer.linear_tail.weight[r] @ tails[b, j]
                    scores[b, i, j, r] = value + layer.linear_head.bias[r]
    return scores


@pytest.fixture
def layer(generator: torch.Generator) -> Biaffine:
    biaffine = Biaffine(4, 3).double()
    assert biaffine.U is not None
    biaffine.U.data.normal_(generator=generator)
    return biaffine


def test_biaffine_equals_the_formula_pair_by_pair(
    layer: Biaffine, generator: torch.Generator
) -> None:
    heads = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    tails = torch.randn(2, 5, 4, dtype=torch.float64, generator=generator)

    scores = layer(heads, tails)

    torch.testing.assert_close(scores, slow_biaffine(layer, heads, tails))


def test_biaffine_has_the_right_gradients(layer: Biaffine, generator: torch.Generator) -> None:
    heads, tails = (
        torch.randn(2, 2, 4, dtype=torch.float64, generator=generator, requires_grad=True)
        for _ in range(2)
    )

    assert torch.autograd.gradcheck(layer, (heads, tails))


def test_relation_head_has_the_right_gradients(
    schema: LabelSchema, generator: torch.Generator
) -> None:
    config = ModelConfig(schema=schema, hidden=6, width=4, label_embedding=3)
    head = RelationHead(5, config).double().eval()
    states = torch.randn(1, 3, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    tags = torch.tensor([[3, 4, 8]])

    assert torch.autograd.gradcheck(lambda value: head(value, tags), (states,))


@pytest.mark.parametrize(
    "option",
    [
        {"projection": "shared"},
        {"projection": "none"},
        {"bilinear": False},
        {"label_embedding": 0},
    ],
    ids=["shared", "none", "linear", "no labels"],
)
def test_ablated_relation_head_scores_all_pairs(
    schema: LabelSchema, option: dict[str, Any]
) -> None:
    head = RelationHead(6, ModelConfig(schema=schema, **option)).eval()

    scores = head(torch.zeros(2, 3, 6), torch.zeros(2, 3, dtype=torch.int64))

    assert scores.shape == (2, 3, 3, 3)


def test_tag_head_scores_four_tags_a_type_and_one(schema: LabelSchema) -> None:
    head = NerHead(6, ModelConfig(schema=schema)).eval()

    assert head(torch.zeros(2, 3, 6)).shape == (2, 3, 9)


DISTANCES = [0, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5, 5, 6]  # bucket of 0, 1, 2, ... words between


@pytest.mark.parametrize("n_words", [1, 2, 7, 8, 13])
def test_maximum_of_every_range_equals_that_of_a_plain_loop(
    n_words: int, generator: torch.Generator
) -> None:
    values = torch.randn(2, n_words, 3, generator=generator)
    ranges = [
        (sentence, start, end)
        for sentence in range(2)
        for start in range(n_words + 1)
        for end in range(start, n_words + 1)
    ]
    sentence, start, end = torch.tensor(ranges).unbind(dim=1)

    found = RangeMaximum(values).query(sentence, start, end - start)

    expected = [values[i, a:b].amax(dim=0) if b > a else torch.zeros(3) for i, a, b in ranges]
    assert torch.equal(found, torch.stack(expected))


def slow_score(module: PairContext, states: Tensor, head: range, tail: range) -> Tensor:
    """Score one pair from the words between two ranges of words."""
    forwards, backwards = module.output.weight.split(module.n_classes)
    head_first = head[-1] < tail[0]
    between = range(head[-1] + 1, tail[0]) if head_first else range(tail[-1] + 1, head[0])
    pooled = torch.zeros(module.project.out_features)
    for word in between:
        pooled = torch.maximum(pooled, module.project(states[word]).relu())
    bucket = DISTANCES[len(between)] + len(module.buckets) * head_first + head_first
    return (forwards if head_first else backwards) @ pooled + module.distance.weight[bucket]


@torch.no_grad()
def test_scores_of_pairs_equal_a_plain_loop_over_the_words_between(
    schema: LabelSchema, generator: torch.Generator
) -> None:
    module = PairContext(6, ModelConfig(schema=schema, context=4)).eval()
    module.distance.weight.normal_(generator=generator)
    states = torch.randn(1, 14, 6, generator=generator)
    spans = [range(0, 1), range(1, 3), range(5, 6), range(13, 14)]
    candidates = CandidateSet(
        first=torch.tensor([[span[0] for span in spans]]),
        last=torch.tensor([[span[-1] for span in spans]]),
        tags=torch.zeros(1, 4, dtype=torch.int64),
        mask=torch.ones(1, 4, dtype=torch.bool),
    )
    head, tail = (~torch.eye(4, dtype=torch.bool)).nonzero(as_tuple=True)

    found = module(
        module.prepare(states),
        candidates,
        sentence=torch.zeros_like(head),
        head=head,
        tail=tail,
    )

    expected = [
        slow_score(module, states[0], spans[i], spans[j])
        for i, j in zip(head.tolist(), tail.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.stack(expected))


def test_context_passes_gradcheck(schema: LabelSchema, generator: torch.Generator) -> None:
    module = PairContext(3, ModelConfig(schema=schema, context=4)).double().eval()
    states = torch.randn(1, 5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    words = torch.tensor([[0, 4]])
    candidates = CandidateSet(first=words, last=words, tags=words, mask=words >= 0)
    pair = {
        "sentence": torch.tensor([0, 0]),
        "head": torch.tensor([0, 1]),
        "tail": torch.tensor([1, 0]),
    }

    assert torch.autograd.gradcheck(
        lambda given: module(module.prepare(given), candidates, **pair), (states,)
    )


def test_without_context_nothing_is_added(build_model: Callable[..., JointModel]) -> None:
    model = build_model(context=0)

    assert model.relation is not None
    assert model.relation.context is None
