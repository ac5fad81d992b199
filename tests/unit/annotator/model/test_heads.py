from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from annotator.domain import LabelSchema
from annotator.model import ModelConfig
from annotator.model.heads import Biaffine, NerHead, RelationHead


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
