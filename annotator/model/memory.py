"""Memory in use, limits on it, and recognising errors caused by too little of it."""

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
    """Return whether an error means that a device or this machine ran out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)


def free_memory(device: torch.device) -> None:
    """Release memory that torch caches; call it when the error is no longer held."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def peak_memory_mb(device: torch.device) -> int:
    """Return the peak memory use: of tensors on a GPU, of this process on a CPU."""
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
    """Limit this process to a ``share`` of the memory of a GPU; no effect on a CPU.

    Allocations above the limit raise an out-of-memory error, after which batches are halved, and
    memory of other processes is left alone.

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
    """Do ``work`` on ``items``, halving their number where memory does not suffice.

    ``work`` must leave nothing behind where it fails.

    Returns:
        The most items that were processed at once.

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
