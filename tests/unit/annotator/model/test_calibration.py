from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from annotator.errors import ConfigError
from annotator.model.calibration import (
    Calibration,
    calibration_error,
    fit_temperature,
)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_of_overconfident_scores_is_recovered(
    temperature: float, generator: torch.Generator
) -> None:
    logits = torch.randn(4000, 5, generator=generator) * 2
    classes = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator).squeeze(1)

    found = fit_temperature(logits * temperature, classes)

    assert found == pytest.approx(temperature, rel=0.1)


def test_temperature_without_held_out_items_is_one() -> None:
    assert fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 1.0


def test_temperature_stays_in_bounds_where_every_score_is_right() -> None:
    assert 0.05 <= fit_temperature(torch.eye(3) * 50, torch.arange(3)) <= 20.0


def test_calibration_survives_json() -> None:
    calibration = Calibration(
        ner_temperature=1.3, relation_temperature=0.8, pair_entropy=0.1, fitted=True
    )

    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize(
    "change",
    [{"ner_temperature": 0}, {"relation_temperature": None}, {"pair_entropy": -1}],
    ids=["zero", "null", "negative"],
)
def test_calibration_out_of_range_is_refused(change: dict[str, float | None]) -> None:
    with pytest.raises(ConfigError):
        Calibration.from_json(Calibration().to_json() | change)


def test_calibration_error_is_the_gap_of_confidence_and_accuracy() -> None:
    scores = np.array([0.95, 0.95, 0.15, 0.15])
    right = np.array([True, False, False, False])

    assert calibration_error(scores, right) == pytest.approx((0.9 + 0.3) / 4)
    assert calibration_error(np.zeros(0), np.zeros(0, dtype=bool)) == 0.0
