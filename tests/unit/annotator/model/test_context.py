from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from annotator.domain import LabelSchema
from annotator.model import JointModel, ModelConfig
from annotator.model.candidates import CandidateSet
from annotator.model.context import PairContext, RangeMaximum

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
