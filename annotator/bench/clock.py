"""Time things against each other, in turn, so that a busy machine slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

__all__ = ["Report", "median_ratio", "race", "wait_for"]

Report = Callable[[str, int, int], None]  # what, done, total


def wait_for(device: torch.device) -> None:
    """Wait until ``device`` has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def race(
    contestants: Mapping[str, Callable[[], object]],
    *,
    n_rounds: int,
    device: torch.device,
    report: Report,
) -> dict[str, list[float]]:
    """Run each contestant once per round, in turn; an extra first round is not timed.

    Returns:
        Seconds of each round, by contestant.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for i in range(n_rounds + 1):
        for name, run in contestants.items():
            wait_for(device)
            started = time.perf_counter()
            run()
            wait_for(device)
            if i:
                seconds[name].append(time.perf_counter() - started)
        report("score", i + 1, n_rounds + 1)
    return seconds


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Return the median of the ratios per round; only what ran side by side is compared."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))
