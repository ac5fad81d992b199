"""Loading a version from the registry, if its files are those that were registered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from annotator.errors import CheckpointError
from annotator.store.versions import ModelVersion

if TYPE_CHECKING:  # the light commands load no torch
    from annotator.model import Predictor
    from annotator.model.precision import Precision

__all__ = ["check_files", "load_version"]


def check_files(version: ModelVersion) -> None:
    """Compare the checkpoint on disk with the one registered: weights, calibration, configuration.

    Raises:
        CheckpointError: if they are missing or different.
    """
    if not Path(version.folder).is_dir():
        raise CheckpointError(
            f"the files of {version.name} are not there any more; of old versions only the newest "
            "are kept (setting keep_versions): choose another with annotator models, or restore "
            f"{version.folder} from a backup"
        )
    from annotator.model import is_checkpoint

    if not is_checkpoint(Path(version.folder), version.sha256):
        raise CheckpointError(
            f"the files of {version.name} in {version.folder} are not those that were "
            "registered; restore the folder from a backup, choose another version with annotator "
            "promote, or train again"
        )


def load_version(version: ModelVersion, *, device: str, precision: Precision = "fp32") -> Predictor:
    """Load a version's model; ``device`` and ``precision`` are the settings of these names.

    Callers that measure a model keep the default ``precision``, so that scores are comparable.

    Raises:
        CheckpointError: if its files are damaged, incomplete, or not those that were registered.
        ConfigError: if the device is not available.
    """
    from annotator.model import Predictor
    from annotator.model.device import pick_device

    check_files(version)
    return Predictor.load(Path(version.folder), device=pick_device(device), precision=precision)
