from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.domain import LabelSchema
from annotator.errors import CancelledError, CheckpointError, ConfigError, TrainingError
from annotator.model import JointModel, ModelConfig, load_checkpoint, load_encoder
from annotator.training import (
    TrainingProgress,
    TrainingResult,
    TrainingSettings,
    WarmStart,
)
from annotator.training.warm_start import shrink_and_perturb

Train = Callable[..., TrainingResult]
Quick = Callable[..., TrainingSettings]

TINY_HEADS = {"hidden": 48, "width": 32, "label_embedding": 8}


@pytest.fixture
def old(train_tiny: Train, quick: Quick, tmp_path: Path) -> Path:
    """A model that was trained before."""
    folder = tmp_path / "old"
    train_tiny(EIGHT_SENTENCES[:5], settings=quick(), folder=folder)
    return folder


def fresh(encoder: Path, schema: LabelSchema = TINY_SCHEMA) -> JointModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        config = ModelConfig(schema=schema, encoder=str(encoder), **TINY_HEADS)
        return JointModel(load_encoder(str(encoder)), config)


def weights(model: JointModel) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("keep", [0.25, 1.0])
def test_every_weight_lies_between_the_fresh_and_the_old_one(
    tiny_encoder: Path, old: Path, keep: float
) -> None:
    model = fresh(tiny_encoder)
    before, aim = weights(model), weights(load_checkpoint(old))

    left = shrink_and_perturb(model, WarmStart(folder=old, keep=keep))

    assert left == ()
    for name, value in weights(model).items():
        torch.testing.assert_close(value, keep * aim[name] + (1 - keep) * before[name])


def test_with_other_labels_only_the_encoder_is_taken_over(tiny_encoder: Path, old: Path) -> None:
    other = LabelSchema(entity_types=("Drug", "Reason"), relation_types=TINY_SCHEMA.relation_types)
    model = fresh(tiny_encoder, other)
    before, aim = weights(model), weights(load_checkpoint(old))

    left = shrink_and_perturb(model, WarmStart(folder=old, keep=1.0))

    after = weights(model)
    assert "ner.output.weight" in left
    assert all(torch.equal(after[name], before[name]) for name in left)
    taken = after.keys() - set(left)
    assert {name.split(".")[0] for name in taken} == {"encoder"}
    assert all(torch.equal(after[name], aim[name]) for name in taken)


def test_a_model_of_another_encoder_is_refused(still_encoder: Path, old: Path) -> None:
    with pytest.raises(TrainingError, match="train from scratch"):
        shrink_and_perturb(fresh(still_encoder), WarmStart(folder=old))


@pytest.mark.parametrize("keep", [0.0, -0.5, 1.5])
def test_a_share_that_makes_no_sense_is_refused(tmp_path: Path, keep: float) -> None:
    with pytest.raises(ConfigError, match="keep"):
        WarmStart(folder=tmp_path, keep=keep)


def test_a_model_that_is_not_there_is_named(
    train_tiny: Train, quick: Quick, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="gone"):
        train_tiny(
            EIGHT_SENTENCES,
            settings=quick(),
            folder=tmp_path / "new",
            start=WarmStart(folder=tmp_path / "gone"),
        )


def test_a_warm_run_that_was_interrupted_ends_with_the_weights_of_an_unbroken_one(
    train_tiny: Train, quick: Quick, tmp_path: Path, old: Path
) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise CancelledError("stop")

    again = {"settings": quick(save_every_s=0), "start": WarmStart(folder=old)}
    unbroken = train_tiny(EIGHT_SENTENCES, folder=tmp_path / "a", **again)

    with pytest.raises(CancelledError):
        train_tiny(EIGHT_SENTENCES, folder=tmp_path / "b", **again, on_progress=stop)
    resumed = train_tiny(EIGHT_SENTENCES, folder=tmp_path / "b", **again)

    assert resumed.resumed_from == 3
    assert resumed.weights_sha256 == unbroken.weights_sha256


def test_a_run_from_another_model_does_not_go_on_from_the_old_state(
    train_tiny: Train, quick: Quick, tmp_path: Path, old: Path
) -> None:
    def stop(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise CancelledError("stop")

    again = {"settings": quick(save_every_s=0), "folder": tmp_path / "a"}
    with pytest.raises(CancelledError):
        train_tiny(EIGHT_SENTENCES, **again, start=WarmStart(folder=old), on_progress=stop)

    result = train_tiny(EIGHT_SENTENCES, **again)

    assert result.resumed_from == 0
