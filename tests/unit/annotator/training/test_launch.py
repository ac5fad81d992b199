from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.errors import CancelledError, TrainingError
from annotator.training import TrainingProgress, TrainingResult, TrainingSettings
from annotator.training.launch import train_together

Train = Callable[..., TrainingResult]
Quick = Callable[..., TrainingSettings]

NO_DROPOUT = {"dropout": 0.0, "hidden": 32, "width": 16, "label_embedding": 8}


def test_two_processes_give_the_weights_of_one(
    train_tiny: Train, quick: Quick, still_encoder: Path, tmp_path: Path
) -> None:
    settings = quick(epochs=3, batch_size=3, precision="fp32")
    common = {"encoder": str(still_encoder), "options": NO_DROPOUT, "settings": settings}

    train_tiny(EIGHT_SENTENCES, folder=tmp_path / "one", **common)
    result = train_together(
        EIGHT_SENTENCES, n_processes=2, schema=TINY_SCHEMA, folder=tmp_path / "two", **common
    )

    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert result.n_steps == 9
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-5


def test_a_process_that_fails_says_why(quick: Quick, tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="label and submit"):
        train_together(
            (),
            n_processes=2,
            schema=TINY_SCHEMA,
            encoder=str(tiny_encoder),
            settings=quick(),
            folder=tmp_path / "a",
        )


def test_progress_that_raises_stops_all(quick: Quick, tiny_encoder: Path, tmp_path: Path) -> None:
    def cancel(progress: TrainingProgress) -> None:
        raise CancelledError(f"stopped in step {progress.step}")

    with pytest.raises(CancelledError, match="step 1"):
        train_together(
            EIGHT_SENTENCES,
            n_processes=2,
            schema=TINY_SCHEMA,
            encoder=str(tiny_encoder),
            settings=quick(),
            folder=tmp_path / "a",
            on_progress=cancel,
        )

    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_more_processes_than_gpus_are_refused(quick: Quick, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="0 GPUs"):
        train_together(
            EIGHT_SENTENCES,
            n_processes=2,
            device="cuda",
            schema=TINY_SCHEMA,
            encoder="minilm",
            settings=quick(),
            folder=tmp_path / "a",
        )
