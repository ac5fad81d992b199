from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_bert import TINY_SCHEMA
from torch import nn

from annotator.model import JointModel, ModelConfig, load_encoder
from annotator.training import TrainingSettings
from annotator.training.optimizer import WeightAverage, build_optimizer


@pytest.fixture
def model(tiny_encoder: Path) -> JointModel:
    config = ModelConfig(schema=TINY_SCHEMA, encoder=str(tiny_encoder), hidden=8, width=8)
    return JointModel(load_encoder(str(tiny_encoder)), config)


def rates(model: JointModel, settings: TrainingSettings) -> dict[str, float]:
    optimizer = build_optimizer(model, settings)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: group["peak_lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("encoder.embeddings.word_embeddings.weight", 0.01 * 0.25),
        ("encoder.encoder.layer.0.output.dense.weight", 0.01 * 0.5),
        ("encoder.encoder.layer.1.output.dense.weight", 0.01),
        ("ner.output.weight", 0.1),
        ("relation.biaffine.U", 0.1),
        ("shape.weight", 0.1),
    ],
)
def test_each_layer_learns_at_half_the_rate_of_the_one_above(
    model: JointModel, name: str, rate: float
) -> None:
    found = rates(model, TrainingSettings(encoder_lr=0.01, head_lr=0.1, layer_decay=0.5))

    assert found[name] == pytest.approx(rate)
    assert found.keys() == dict(model.named_parameters()).keys()


def test_biases_and_norms_are_not_decayed(model: JointModel) -> None:
    optimizer = build_optimizer(model, TrainingSettings(weight_decay=0.3))

    dimensions = {
        group["weight_decay"]: {p.ndim for p in group["params"]} for group in optimizer.param_groups
    }

    assert dimensions[0.0] == {1}
    assert min(dimensions[0.3]) == 2


def test_average_equals_a_plain_loop_over_the_weights_seen() -> None:
    layer = nn.Linear(1, 1, bias=False)
    average = WeightAverage(layer, decay=0.5)
    expected = layer.weight.item()
    seen = torch.linspace(1.0, 30.0, 30).tolist()
    for step, value in enumerate(seen, start=1):
        decay = min(0.5, step / (step + 9))
        expected = decay * expected + (1 - decay) * value

    for step, value in enumerate(seen, start=1):
        nn.init.constant_(layer.weight, value)
        average.update(step)
    average.apply()

    assert layer.weight.item() == pytest.approx(expected, rel=1e-5)
