"""Where models are trained and the pool is scored: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from annotator import training
from annotator.domain import TaggedSentence
from annotator.services.inference.predictions import PoolText, ScoredText, compute_predictions
from annotator.services.inference.versions import load_version
from annotator.settings import Settings
from annotator.store.versions import ModelVersion

if TYPE_CHECKING:  # the light commands load no torch
    from annotator.model import Predictor
    from annotator.training import TrainingProgress, TrainingResult

__all__ = ["Engine", "LocalEngine", "make_engine"]

Load: TypeAlias = "Callable[[ModelVersion], Predictor]"
_READ: Load = partial(load_version, device="auto")


class Engine(Protocol):
    """What computes: this machine or a cluster. The caller reads and writes the database."""

    def train(
        self,
        sentences: Sequence[TaggedSentence],
        *,
        device: str,
        on_progress: Callable[[TrainingProgress], None] | None = None,
        **arguments: Any,
    ) -> TrainingResult:
        """Train a model; the arguments are those of ``annotator.training.train``.

        ``device`` is that of this machine. ``on_progress`` is called in this process; what it
        raises stops the run.

        Raises:
            TrainingError: as ``train`` does, or if processes are lost.
        """
        ...

    def score(
        self, version: ModelVersion, shards: Iterable[Sequence[PoolText]]
    ) -> Iterator[list[ScoredText]]:
        """Predict each text once, in any order; shards may be read ahead.

        Raises:
            CheckpointError: if the version's model cannot be loaded.
            JobError: if the engine gives up.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalEngine:
    """This machine.

    Attributes:
        processes: How many train one model together, each on its share of every batch.
        load: Returns the model of a version; by default it is read from its folder.
    """

    processes: int = 1
    load: Load = _READ

    def train(
        self,
        sentences: Sequence[TaggedSentence],
        *,
        device: str,
        on_progress: Callable[[TrainingProgress], None] | None = None,
        **arguments: Any,
    ) -> TrainingResult:
        """Train in this process, or in several if so configured."""
        if self.processes == 1:
            return training.train(sentences, device=device, on_progress=on_progress, **arguments)
        from annotator.training.launch import train_together

        return train_together(
            sentences,
            n_processes=self.processes,
            device=device,
            on_progress=on_progress,
            **arguments,
        )

    def score(
        self, version: ModelVersion, shards: Iterable[Sequence[PoolText]]
    ) -> Iterator[list[ScoredText]]:
        """Predict shard by shard, in order, with the model loaded here."""
        predictor = None
        for shard in shards:
            predictor = predictor or self.load(version)
            found = compute_predictions(predictor, [one.sentence for one in shard])
            yield [
                ScoredText(sentence_ids=one.sentence_ids, prediction=prediction)
                for one, prediction in zip(shard, found, strict=True)
            ]


def make_engine(settings: Settings, *, load: Load | None = None) -> Engine:
    """Return the engine that the settings name.

    ``load`` returns a version's model on this machine, for callers that keep it in memory.
    """
    if settings.engine == "local":
        read = partial(load_version, device=settings.device, precision=settings.precision)
        return LocalEngine(processes=settings.processes, load=load or read)
    from annotator.services.inference.ray_engine import RayEngine

    return RayEngine(
        address=settings.ray_address,
        processes=settings.processes,
        device=settings.device,
        precision=settings.precision,
    )
