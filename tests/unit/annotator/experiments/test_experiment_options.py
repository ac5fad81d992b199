"""Options given as key=value."""

from __future__ import annotations

from typing import Any

import pytest

from annotator.errors import ConfigError
from annotator.experiments import Options, option_keys, parse_grid, parse_options
from annotator.training import TrainingSettings


@pytest.mark.parametrize(
    ("pair", "training", "model"),
    [
        ("epochs=3", {"epochs": 3}, {}),
        ("head_lr=2e-3", {"head_lr": 0.002}, {}),
        ("encoder_lr=1e-4", {"encoder_lr": 1e-4}, {}),
        ("encoder_lr=none", {"encoder_lr": None}, {}),
        ("entity_pretraining=false", {"entity_pretraining": False}, {}),
        ("precision=bf16", {"precision": "bf16"}, {}),
        ("bilinear=Off", {}, {"bilinear": False}),
        ("projection=shared", {}, {"projection": "shared"}),
        ("label_embedding=0", {}, {"label_embedding": 0}),
        ("max_pieces=none", {}, {"max_pieces": None}),
        (" max_pieces = 64 ", {}, {"max_pieces": 64}),
    ],
)
def test_a_value_takes_the_type_of_its_field(
    pair: str, training: dict[str, Any], model: dict[str, Any]
) -> None:
    options = parse_options([pair])

    assert (options.training, options.model) == (training, model)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("epochs=three", "epochs must be a whole number, found 'three'"),
        ("epochs=1.5", "epochs must be a whole number"),
        ("head_lr=nan", "head_lr must be a number"),
        ("encoder_lr=fast", "encoder_lr must be a number or none"),
        ("bilinear=maybe", "bilinear must be true or false"),
        ("precision=fp8", "precision must be one of auto, fp32, bf16"),
        ("epochs", "--set needs key=value"),
        ("=3", "--set needs key=value"),
        ("seed=3", "there is no option 'seed'; there are .*batch_size.*width"),
        ("schema=x", "there is no option 'schema'"),
        ("speed=3", "there is no option 'speed'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(pair: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_options([pair])


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="--set epochs is given twice"):
        parse_options(["epochs=1", "epochs=2"])


def test_every_option_is_a_field_and_all_plain_fields_are_options() -> None:
    keys = option_keys()

    assert {"epochs", "batch_size", "encoder_lr", "projection", "candidates", "width"} <= set(keys)
    assert not {"seed", "schema", "encoder"} & set(keys)


def test_a_grid_is_every_combination_in_order() -> None:
    grid = parse_grid(["batch_size=8,16", "bilinear=true,false"], options=Options())

    assert grid == [
        {"batch_size": 8, "bilinear": True},
        {"batch_size": 8, "bilinear": False},
        {"batch_size": 16, "bilinear": True},
        {"batch_size": 16, "bilinear": False},
    ]


def test_no_axis_is_no_grid() -> None:
    assert parse_grid([], options=Options()) == []


@pytest.mark.parametrize(
    ("axes", "reason"),
    [
        (["epochs=1,2", "epochs=3"], "--grid epochs is given twice"),
        (["epochs=1,1"], "--grid epochs names a value twice"),
        (["epochs=1,"], "epochs must be a whole number"),
        (["head_lr=1e-3,1e-4"], "head_lr is both in --set and in --grid"),
    ],
    ids=["axis twice", "value twice", "empty value", "also set"],
)
def test_a_grid_that_makes_no_sense_is_refused(axes: list[str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_grid(axes, options=parse_options(["head_lr=1e-2"]))


def test_a_choice_is_put_over_options() -> None:
    options = parse_options(["epochs=3", "bilinear=false"])

    chosen = options.with_choice({"batch_size": 8, "width": 64})

    assert chosen.settings(seed=4) == TrainingSettings(epochs=3, batch_size=8, seed=4)
    assert chosen.model == {"bilinear": False, "width": 64}
