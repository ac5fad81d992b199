"""How much memory is used, how much may be, and whether an error means that it was too little."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from annotator.errors import ConfigError, ModelError

__all__ = ["free_memory", "in_halves", "is_out_of_memory", "limit_memory", "peak_memory_mb"]

T = TypeVar("T")

_WORDS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a device or this machine had too little memory for what was asked of it."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def free_memory(device: torch.device) -> None:
    """Give back what torch keeps for later; call it when the error is no longer held."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def peak_memory_mb(device: torch.device) -> int:
    """Return the most memory that was in use: of tensors on a GPU, of this process on a CPU."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 2**20)
    if device.type == "mps":
        return round(torch.mps.driver_allocated_memory() / 2**20)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def limit_memory(device: str | torch.device, share: float) -> None:
    """Let this process take at most ``share`` of the memory of a GPU; on a CPU it does nothing.

    What asks for more gets an out-of-memory error, after which batches are halved, and leaves
    alone what another process takes.

    Raises:
        ConfigError: if the share is not in (0, 1].
    """
    if not 0.0 < share <= 1.0:
        raise ConfigError(f"gpu_memory_share must be above 0 and at most 1, found {share}")
    device = torch.device(device)
    if share == 1.0:
        return
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(share, device)
    elif device.type == "mps":
        torch.mps.set_per_process_memory_fraction(share)


def in_halves(
    items: Sequence[T], work: Callable[[Sequence[T]], None], *, device: torch.device
) -> int:
    """Do ``work`` on ``items``, on half of them at a time where memory is too small for all.

    Args:
        items: What to work on.
        work: Works on some of them; must leave nothing behind where it fails.
        device: Where it computes.

    Returns:
        The most items that were worked on at once.

    Raises:
        ModelError: if a single one is too large.
    """
    try:
        work(items)
        return len(items)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        if len(items) == 1:
            raise ModelError(
                f"a single sentence is too large for the memory of {device}: stop what else runs "
                "there, raise gpu_memory_share, or use device cpu"
            ) from error
    free_memory(device)
    middle = (len(items) + 1) // 2
    parts = items[:middle], items[middle:]
    return max(in_halves(part, work, device=device) for part in parts)
