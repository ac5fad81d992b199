"""Which device to compute on."""

from __future__ import annotations

import torch

from annotator.errors import ConfigError

__all__ = ["pick_device"]


def pick_device(name: str) -> str:
    """Return the device for the setting ``device``; ``auto`` takes cuda, then mps, then cpu.

    Raises:
        ConfigError: if the device that is asked for is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.split(":", 1)[0]
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(kind, False):
        found = ", ".join(k for k, available in there.items() if available)
        raise ConfigError(f"device {name!r} is not available here; there are: {found}")
    return name
