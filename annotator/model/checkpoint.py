"""Checkpoint directories: weights in safetensors, everything else in JSON; nothing is pickled.

::

    model.safetensors    all weights
    config.json          ModelConfig with the format version
    labels.json          tags and relation classes in class order, for other readers
    calibration.json     temperatures
    encoder/             configuration and tokenizer of the encoder
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from annotator.errors import CheckpointError, ConfigError, ModelError
from annotator.model.calibration import Calibration
from annotator.model.config import ModelConfig
from annotator.model.encoder import Encoder, restore_encoder, save_encoder
from annotator.model.folder import write_whole
from annotator.model.joint import JointModel

__all__ = [
    "WEIGHTS_FILE",
    "checkpoint_sha256",
    "is_checkpoint",
    "load_checkpoint",
    "save_checkpoint",
    "weights_sha256",
]

WEIGHTS_FILE = "model.safetensors"
_CONFIG_FILE, _LABELS_FILE, _CALIBRATION_FILE = "config.json", "labels.json", "calibration.json"
_ENCODER_FOLDER = "encoder"
_FILES = (
    WEIGHTS_FILE,
    _CONFIG_FILE,
    _LABELS_FILE,
    _CALIBRATION_FILE,
    f"{_ENCODER_FOLDER}/config.json",
    f"{_ENCODER_FOLDER}/tokenizer.json",
)


def save_checkpoint(model: JointModel, folder: Path) -> None:
    """Write ``model`` into ``folder``: aside, flushed to disk, then renamed; replaces an older one.

    Raises:
        CheckpointError: if the folder cannot be written.
    """
    try:
        with write_whole(folder) as aside:
            (aside / _ENCODER_FOLDER).mkdir()
            _write_files(model, aside)
    except OSError as error:
        raise CheckpointError(
            f"checkpoint {folder.name} cannot be written ({error.strerror}): "
            "check that the disk has room and the folder may be written"
        ) from error


def _write_files(model: JointModel, folder: Path) -> None:
    weights = {
        name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()
    }
    save_file(weights, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = model.config
    labels = {"tags": list(config.tags), "relation_classes": list(config.relation_classes)}
    _write_json(folder / _CONFIG_FILE, config.to_json())
    _write_json(folder / _LABELS_FILE, labels)
    _write_json(folder / _CALIBRATION_FILE, model.calibration.to_json())
    save_encoder(model.encoder_parts, folder / _ENCODER_FOLDER)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path, *, device: str | torch.device = "cpu") -> JointModel:
    """Load what ``save_checkpoint`` wrote, in evaluation mode; needs no other file and no hub.

    Raises:
        CheckpointError: if a file is missing or damaged, or has another format version.
    """
    folder = Path(folder)
    for name in _FILES:
        if not (folder / name).is_file():
            raise CheckpointError(
                f"checkpoint {folder.name} has no file {name}: restore it, or train again"
            )
    config = _read_config(folder)
    _check_labels(folder, config)
    model = _build(folder, config)
    _load_weights(model, folder)
    try:
        model.calibration = Calibration.from_json(_read_json(folder, _CALIBRATION_FILE))
    except ConfigError as error:
        raise CheckpointError(f"{_CALIBRATION_FILE} of {folder.name}: {error}") from error
    return model.to(device).eval()


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{name} of checkpoint {folder.name} is not readable JSON ({type(error).__name__})"
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{name} of checkpoint {folder.name} must hold a JSON object")
    return value


def _read_config(folder: Path) -> ModelConfig:
    try:
        return ModelConfig.from_json(_read_json(folder, _CONFIG_FILE))
    except ConfigError as error:
        raise CheckpointError(f"{_CONFIG_FILE} of checkpoint {folder.name}: {error}") from error


def _check_labels(folder: Path, config: ModelConfig) -> None:
    labels = _read_json(folder, _LABELS_FILE)
    expected = {"tags": list(config.tags), "relation_classes": list(config.relation_classes)}
    if labels != expected:
        raise CheckpointError(
            f"{_LABELS_FILE} of checkpoint {folder.name} does not fit the schema in {_CONFIG_FILE}"
        )


def _build(folder: Path, config: ModelConfig) -> JointModel:
    try:
        encoder: Encoder = restore_encoder(folder / _ENCODER_FOLDER, name=config.encoder)
        with torch.random.fork_rng(devices=[]):
            return JointModel(encoder, config)
    # The tokenizers library raises a bare Exception for a damaged file.
    except Exception as error:
        if isinstance(error, ModelError):
            raise
        raise CheckpointError(
            f"{_ENCODER_FOLDER}/ of checkpoint {folder.name} cannot be read "
            f"({type(error).__name__}): a file in it is damaged"
        ) from error


def _load_weights(model: JointModel, folder: Path) -> None:
    try:
        weights = load_file(folder / WEIGHTS_FILE)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{WEIGHTS_FILE} of checkpoint {folder.name} is truncated or damaged ({error}): "
            "restore it, or train again"
        ) from error
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{WEIGHTS_FILE} of checkpoint {folder.name} does not fit {_CONFIG_FILE}: "
            "names or shapes of weights differ"
        ) from error


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 of the weights file, hexadecimal.

    Raises:
        CheckpointError: if there is none.
    """
    return _file_sha256(Path(folder), WEIGHTS_FILE)


def checkpoint_sha256(folder: Path) -> str:
    """Return the SHA-256 over names and digests of all files of a checkpoint, hexadecimal.

    What lies beside them, such as the model card, does not count.

    Raises:
        CheckpointError: if there are no weights, or a file cannot be read.
    """
    return _combine(Path(folder), weights=weights_sha256(folder))


def is_checkpoint(folder: Path, sha256: str) -> bool:
    """Return whether a checkpoint is the one with this SHA-256.

    Older versions were registered with that of the weights alone: it is recognised too, and their
    other files are not compared.

    Raises:
        CheckpointError: if there are no weights, or a file cannot be read.
    """
    weights = weights_sha256(folder)
    return sha256 in (weights, _combine(Path(folder), weights=weights))


def _combine(folder: Path, *, weights: str) -> str:
    encoder = (f for f in (folder / _ENCODER_FOLDER).rglob("*") if f.is_file())
    names = {*_FILES, *(file.relative_to(folder).as_posix() for file in encoder)} - {WEIGHTS_FILE}
    present = sorted(name for name in names if (folder / name).is_file())
    lines = [f"{weights} {WEIGHTS_FILE}", *(f"{_file_sha256(folder, n)} {n}" for n in present)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _file_sha256(folder: Path, name: str) -> str:
    try:
        with (folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"checkpoint {folder.name} has no readable {name}") from error
