from __future__ import annotations

import json

import pytest

from annotator.errors import ConfigError
from annotator.training import TrainingSettings


def test_settings_survive_json() -> None:
    settings = TrainingSettings(epochs=3, encoder_lr=1e-5, precision="fp32", seed=9)

    assert TrainingSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"min_steps": -1},
        {"warmup": 1.0},
        {"max_grad_norm": 0.0},
        {"encoder_lr": -1.0},
        {"precision": "fp8"},
        {"head_lr": float("nan")},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_setting_out_of_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TrainingSettings.from_json(wrong)


@pytest.mark.parametrize(
    ("value", "message"), [({"tempo": 3}, "tempo"), ({"epochs": "many"}, "type")]
)
def test_unknown_or_mistyped_setting_is_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingSettings.from_json(value)


@pytest.mark.parametrize(
    ("width", "given", "rate"), [(384, None, 1.5e-4), (768, None, 3e-5), (768, 2e-5, 2e-5)]
)
def test_rate_of_the_encoder_follows_its_width_unless_given(
    width: int, given: float | None, rate: float
) -> None:
    assert TrainingSettings(encoder_lr=given).encoder_rate(width) == rate
