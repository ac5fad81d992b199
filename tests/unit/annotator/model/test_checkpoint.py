from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from annotator.errors import CheckpointError
from annotator.model import (
    Calibration,
    JointModel,
    Predictor,
    checkpoint_sha256,
    is_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from annotator.model.checkpoint import weights_sha256

WORDS = ["aspirin", "induced", "severe", "rash"]
FILES = (
    "model.safetensors",
    "config.json",
    "labels.json",
    "calibration.json",
    "encoder/config.json",
    "encoder/tokenizer.json",
)


@pytest.fixture
def folder(build_model: Callable[..., JointModel], tmp_path: Path) -> Path:
    save_checkpoint(build_model(), tmp_path / "v1")
    return tmp_path / "v1"


def _refuse(*_: object) -> None:
    raise AssertionError("a checkpoint was looked for on the network")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_restored_model_predicts_the_same(
    build_model: Callable[..., JointModel], tmp_path: Path
) -> None:
    model = build_model()
    model.calibration = Calibration(ner_temperature=1.7, fitted=True)

    save_checkpoint(model, tmp_path / "v1")
    restored = Predictor.load(tmp_path / "v1", device="cpu")

    [before], [after] = Predictor(model).predict([WORDS]), restored.predict([WORDS])
    assert after.entities == before.entities
    assert after.signals == before.signals
    assert restored.model.calibration == model.calibration


def test_checkpoint_needs_no_file_outside_its_folder(
    build_model: Callable[..., JointModel],
    tiny_encoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_checkpoint(build_model(), tmp_path / "v1")
    shutil.move(tmp_path / "v1", tmp_path / "moved")
    monkeypatch.setattr("socket.socket.connect", _refuse)
    shutil.move(tiny_encoder, tmp_path / "hidden")

    model = load_checkpoint(tmp_path / "moved")

    shutil.move(tmp_path / "hidden", tiny_encoder)
    assert not model.training


def test_saving_twice_replaces_and_gives_the_same_hash(
    build_model: Callable[..., JointModel], folder: Path
) -> None:
    before = checkpoint_sha256(folder)

    save_checkpoint(build_model(), folder)

    assert checkpoint_sha256(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["v1"]


def test_loading_leaves_the_global_generator_alone(folder: Path) -> None:
    before = torch.get_rng_state()

    load_checkpoint(folder)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "culprit"),
    [
        ("model.safetensors", r"model\.safetensors"),
        ("config.json", r"config\.json"),
        ("labels.json", r"labels\.json"),
        ("calibration.json", r"calibration\.json"),
        ("encoder/config.json", "encoder/"),
        ("encoder/tokenizer.json", "encoder/"),
    ],
)
def test_truncated_file_is_named(folder: Path, name: str, culprit: str) -> None:
    truncate(folder / name)

    with pytest.raises(CheckpointError, match=culprit):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 0}, "format version 0"),
        ({"width": 17}, "does not fit"),
        ({"schema": {"entity_types": ["Other"]}}, r"labels\.json"),
    ],
    ids=["version", "shape", "labels"],
)
def test_configuration_that_does_not_fit_is_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(folder)


def test_folder_that_cannot_be_written_is_told(
    build_model: Callable[..., JointModel], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(build_model(), tmp_path / "file" / "v1")


def test_hash_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        checkpoint_sha256(tmp_path)


@pytest.mark.parametrize("name", [*FILES, "encoder/added_tokens.json"])
@pytest.mark.parametrize("change", ["changed", "gone"])
def test_any_other_file_of_a_checkpoint_is_seen(folder: Path, name: str, change: str) -> None:
    (folder / "encoder/added_tokens.json").write_text("{}")
    whole, weights = checkpoint_sha256(folder), weights_sha256(folder)
    {
        "changed": lambda: (folder / name).write_bytes((folder / name).read_bytes() + b" "),
        "gone": (folder / name).unlink,
    }[change]()
    lost_weights = (name, change) == ("model.safetensors", "gone")

    with pytest.raises(CheckpointError) if lost_weights else nullcontext():
        assert not is_checkpoint(folder, whole)
        # Older versions were registered with the digest of the weights alone.
        assert is_checkpoint(folder, weights) is (name != "model.safetensors")


def test_what_lies_beside_a_checkpoint_does_not_count(folder: Path) -> None:
    before = checkpoint_sha256(folder)
    (folder / "README.md").write_text("a card")

    assert is_checkpoint(folder, before)
