from __future__ import annotations

import json
from typing import Any

import pytest

from annotator.domain import LabelSchema
from annotator.errors import ConfigError
from annotator.model import ModelConfig


def test_configuration_survives_json(schema: LabelSchema) -> None:
    config = ModelConfig(schema=schema, candidates="predicted", max_pieces=64, dropout=0.25)

    restored = ModelConfig.from_json(json.loads(json.dumps(config.to_json())))

    assert restored == config


def test_tags_and_relation_classes_follow_the_order_of_the_schema(schema: LabelSchema) -> None:
    config = ModelConfig(schema=schema)

    assert config.tags[:6] == ("O", "B-Drug", "I-Drug", "E-Drug", "S-Drug", "B-Effect")
    assert config.relation_classes == ("NEG", "causes", "treats")


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": 0},
        {"dropout": 1.0},
        {"decoding": "beam"},
        {"candidates": "all"},
        {"projection": "three"},
        {"max_pieces": 3},
        {"max_candidates": 1},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_value_out_of_range_is_refused_by_name(schema: LabelSchema, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ModelConfig(schema=schema, **wrong)


def test_schema_without_entity_types_is_refused() -> None:
    with pytest.raises(ConfigError, match="entity type"):
        ModelConfig(schema=LabelSchema(entity_types=()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "format version 99"),
        ({"colour": "red"}, "colour"),
        ({"hidden": "wide"}, "wrong type"),
    ],
    ids=["version", "unknown key", "type"],
)
def test_damaged_configuration_says_what_is_wrong(
    schema: LabelSchema, change: dict[str, Any], message: str
) -> None:
    value = ModelConfig(schema=schema).to_json() | change

    with pytest.raises(ConfigError, match=message):
        ModelConfig.from_json(value)
