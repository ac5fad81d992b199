"""Gradients of layers and losses against finite differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES
from torch import Tensor, nn

from annotator.domain import LabelSchema
from annotator.model import JointModel, ModelConfig
from annotator.model.batch import Batch, GoldEncoder, collate
from annotator.model.candidates import training_candidates
from annotator.model.heads import Biaffine, NerHead, RelationHead
from annotator.model.joint import JointOutput

pytestmark = pytest.mark.slow

VARIANTS: list[dict[str, Any]] = [
    {"projection": projection, "bilinear": bilinear}
    for projection in ("two", "shared", "none")
    for bilinear in (True, False)
]


def name_of(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def has_right_gradients(
    module: nn.Module, inputs: tuple[Tensor, ...], *others: Tensor, fast: bool = False
) -> bool:
    """Check the gradients of all weights of ``module`` and of ``inputs``; ``others`` have none.

    ``fast`` compares random projections of the Jacobian in place of each of its entries.
    """
    names = [name for name, _ in module.named_parameters()]
    weights = [weight.detach().clone().requires_grad_() for weight in module.parameters()]

    def compute(*values: Tensor) -> Tensor:
        given = dict(zip(names, values[: len(names)], strict=True))
        found: Tensor = torch.func.functional_call(module, given, (*values[len(names) :], *others))
        return found

    return bool(torch.autograd.gradcheck(compute, (*weights, *inputs), fast_mode=fast))


@pytest.fixture
def states(generator: torch.Generator, devices: torch.device) -> Tensor:
    drawn = torch.randn(2, 3, 5, dtype=torch.float64, generator=generator)
    return drawn.to(devices).requires_grad_()


@pytest.mark.parametrize("bilinear", [True, False])
def test_biaffine_form(states: Tensor, devices: torch.device, bilinear: bool) -> None:
    layer = Biaffine(5, 3, bilinear=bilinear).to(devices, torch.float64)
    tails = states.detach().flip(1)[:, :2].clone().requires_grad_()

    assert has_right_gradients(layer, (states, tails))


def test_tag_head(states: Tensor, devices: torch.device, schema: LabelSchema) -> None:
    head = NerHead(5, ModelConfig(schema=schema)).to(devices, torch.float64).eval()

    assert has_right_gradients(head, (states,))


@pytest.mark.parametrize("embedding", [3, 0])
@pytest.mark.parametrize("options", VARIANTS, ids=name_of)
def test_relation_head(
    states: Tensor,
    devices: torch.device,
    schema: LabelSchema,
    options: dict[str, Any],
    embedding: int,
) -> None:
    config = ModelConfig(schema=schema, hidden=4, width=3, label_embedding=embedding, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        head = RelationHead(5, config).to(devices, torch.float64).eval()
    tags = torch.tensor([[3, 4, 8], [4, 4, 0]], device=devices)

    assert has_right_gradients(head, (states,), tags)


class HeadLoss(nn.Module):
    """The joint loss as a function of word states and of the weights of the heads."""

    def __init__(self, model: JointModel, batch: Batch, *, relation_weight: float) -> None:
        super().__init__()
        self.ner, self.relation = model.ner, model.relation
        self._keep = (model, batch, relation_weight)

    def forward(self, states: Tensor) -> Tensor:
        model, batch, weight = self._keep
        assert batch.tags is not None
        logits = self.ner(states)
        tags = model.decode_tags(logits, word_mask=batch.word_mask)
        candidates = training_candidates(
            predicted=tags,
            gold=batch.tags,
            scores=logits.detach().softmax(dim=-1).amax(dim=-1),
            choice=model.config.candidates,
            limit=model.config.max_candidates,
        )
        scores = model.score_pairs(states, candidates)
        assert scores is not None
        output = JointOutput(
            states=states,
            ner_logits=logits,
            tags=tags,
            candidates=candidates,
            pair_logits=scores.logits,
            pair_mask=scores.mask,
        )
        return model.losses(output, batch, relation_weight=weight).total


@pytest.mark.parametrize("relation_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize(
    "options",
    [{}, {"projection": "shared"}, {"bilinear": False}, {"candidates": "gold"}, {"context": 0}],
    ids=["default", "shared", "linear", "gold", "no context"],
)
def test_joint_loss_over_the_heads(
    build_model: Callable[..., JointModel],
    generator: torch.Generator,
    options: dict[str, Any],
    relation_weight: float,
) -> None:
    model = build_model(hidden=4, width=3, label_embedding=2, **options).double()
    gold = GoldEncoder(model.config)
    sentences = (EIGHT_SENTENCES[0], EIGHT_SENTENCES[5])
    pieces = model.pieces.encode([sentence.words for sentence in sentences])
    batch = collate(pieces, model.pieces, gold=[gold.encode(sentence) for sentence in sentences])
    width = model.encoder_parts.width
    states = torch.randn(2, 5, width, dtype=torch.float64, generator=generator)

    loss = HeadLoss(model, batch, relation_weight=relation_weight)

    assert has_right_gradients(loss, (states.requires_grad_(),), fast=True)
