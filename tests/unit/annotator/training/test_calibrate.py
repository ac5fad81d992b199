from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES

from annotator.domain import LabelSchema
from annotator.model import Calibration, JointModel, ModelConfig, load_encoder
from annotator.training.calibrate import fit_calibration

# Words of the sentences are drugs and effects; no pair of them may have the class ``has``.
SCHEMA = LabelSchema(
    entity_types=("Drug", "Effect", "Dose"),
    relation_types=("causes", "treats", "has"),
    pairs=frozenset({("causes", "Drug", "Effect"), ("treats", "Effect", "Drug"),
                     ("has", "Drug", "Dose")}),
)  # fmt: skip


def calibrate(
    encoder: Path, *, shift: tuple[float, ...] = (0.0,) * 4, outside: float = 0.0
) -> Calibration:
    """Fit a random model whose classes of relations are shifted; it sees no Dose."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = ModelConfig(
            schema=SCHEMA, encoder=str(encoder), hidden=24, width=16, label_embedding=8
        )
        model = JointModel(load_encoder(str(encoder)), config)
    assert model.relation is not None
    assert model.relation.biaffine.U is not None
    model.relation.biaffine.U.data.mul_(200.0)
    model.relation.biaffine.linear_head.bias.data.copy_(torch.tensor(shift) - 9.0)
    model.ner.output.bias.data[9:] = -50.0
    model.ner.output.bias.data[0] = outside
    return fit_calibration(model, EIGHT_SENTENCES)


@pytest.mark.parametrize(
    "shift",
    [(-40.0,) * 4, (0.0, 0.0, 0.0, 40.0)],
    ids=["all classes alike", "a class that no pair may have"],
)
def test_temperature_and_entropy_of_pairs_are_over_legal_classes(
    tiny_encoder: Path, shift: tuple[float, ...]
) -> None:
    plain = calibrate(tiny_encoder)

    shifted = calibrate(tiny_encoder, shift=shift)

    assert plain.fitted
    assert plain.pair_entropy > 0.0
    assert shifted.relation_temperature == pytest.approx(plain.relation_temperature, rel=1e-2)
    assert shifted.pair_entropy == pytest.approx(plain.pair_entropy, rel=1e-2)


def test_pairs_are_those_of_predicted_entities(tiny_encoder: Path) -> None:
    found = calibrate(tiny_encoder, outside=50.0)

    assert found.fitted
    assert found.ner_temperature != 1.0
    assert found.relation_temperature == 1.0
    assert found.pair_entropy == Calibration().pair_entropy
