"""Where models are trained: in this process, or in several of this machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.domain import TaggedSentence
from annotator.training import TrainingProgress, TrainingResult, train
from annotator.training.launch import train_together

__all__ = ["LocalEngine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """This machine.

    Attributes:
        processes: How many train one model together, each on its share of every batch.
    """

    processes: int = 1

    def train(
        self,
        sentences: Sequence[TaggedSentence],
        *,
        device: str,
        on_progress: Callable[[TrainingProgress], None] | None = None,
        **arguments: Any,
    ) -> TrainingResult:
        """Train a model; the arguments are those of ``annotator.training.train``.

        Raises:
            TrainingError: as ``train`` does, or if a process dies.
        """
        if self.processes == 1:
            return train(sentences, device=device, on_progress=on_progress, **arguments)
        return train_together(
            sentences,
            n_processes=self.processes,
            device=device,
            on_progress=on_progress,
            **arguments,
        )
