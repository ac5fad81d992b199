from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_bert import TINY_SCHEMA, make_tiny_encoder

from annotator.training import TrainingResult, TrainingSettings, train

TINY_HEADS = {"hidden": 48, "width": 32, "label_embedding": 8}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def quick() -> Callable[..., TrainingSettings]:
    """Builds settings for a few steps on a few sentences."""
    return partial(
        TrainingSettings,
        epochs=4,
        min_steps=0,
        batch_size=4,
        encoder_lr=1e-3,
        head_lr=3e-3,
    )


@pytest.fixture
def train_tiny(tiny_encoder: Path) -> Callable[..., TrainingResult]:
    """Trains with the tiny encoder; keywords as for ``train``."""

    def run(sentences: Any, **keywords: Any) -> TrainingResult:
        options = TINY_HEADS | keywords.pop("options", {})
        given = {"schema": TINY_SCHEMA, "encoder": str(tiny_encoder), **keywords}
        return train(sentences, options=options, **given)

    return run
