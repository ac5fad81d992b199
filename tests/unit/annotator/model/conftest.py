from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_bert import make_tiny_encoder

from annotator.domain import LabelSchema
from annotator.model import JointModel, ModelConfig, load_encoder


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def schema() -> LabelSchema:
    return LabelSchema(
        entity_types=("Drug", "Effect"),
        relation_types=("causes", "treats"),
        pairs=frozenset({("causes", "Drug", "Effect"), ("treats", "Drug", "Effect")}),
    )


@pytest.fixture
def build_model(tiny_encoder: Path, schema: LabelSchema) -> Callable[..., JointModel]:
    """Builds the same random model each time; keywords are fields of ModelConfig."""

    def build(**options: Any) -> JointModel:
        fields = {"schema": schema, "hidden": 24, "width": 16, "label_embedding": 8, **options}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            config = ModelConfig(encoder=str(tiny_encoder), **fields)
            return JointModel(load_encoder(str(tiny_encoder)), config).eval()

    return build


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(11)
