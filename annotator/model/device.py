"""The choice of a device."""

from __future__ import annotations

import torch

from annotator.errors import ConfigError

__all__ = ["computes_bf16", "pick_device"]


def pick_device(name: str) -> str:
    """Return the device for the setting ``device``; ``auto`` takes cuda, then mps, then cpu.

    Raises:
        ConfigError: if the requested device is not available.
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


def computes_bf16(device: torch.device) -> bool:
    """Return whether ``device`` multiplies in bf16: GPUs, and CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return True
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
