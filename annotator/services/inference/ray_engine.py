"""The Ray cluster as an engine: training and scoring on several machines.

Predictions come back to this process, which alone accesses the database; so it may be SQLite. Ray
Data yields each row once, even where a node is lost and its work is repeated elsewhere.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from annotator.cluster import Share, joined, plan_share
from annotator.domain import TaggedSentence
from annotator.errors import CheckpointError, JobError
from annotator.model import Predictor, is_checkpoint
from annotator.model.precision import Precision
from annotator.services.inference.predictions import (
    PoolText,
    ScoredText,
    TextSentence,
    compute_predictions,
)
from annotator.store.versions import ModelVersion, StoredPrediction
from annotator.training import TrainingProgress, TrainingResult
from annotator.training.ray_trainer import train_on_ray

__all__ = ["RayEngine"]

_ROUND = 256  # shards sent to the cluster at a time: some 50 MB of text
_MAX_DEATHS = 2  # consecutive, of processes that have not loaded their model yet
_BATCH = 1024  # sentences per call of a model; a shard of at most this many is one call


@dataclass(frozen=True, slots=True, kw_only=True)
class RayEngine:
    """A Ray cluster that this machine is a node of.

    Attributes:
        address: See ``annotator.cluster.joined``.
        processes: Most processes that compute, on any nodes; with GPUs one each.
        device: ``auto``, ``cpu`` or ``cuda``, for the nodes.
        precision: Precision of the encoder in predictions.
    """

    address: str
    processes: int
    device: str = "auto"
    precision: Precision = "fp32"

    def train(
        self,
        sentences: Sequence[TaggedSentence],
        *,
        device: str,
        on_progress: Callable[[TrainingProgress], None] | None = None,
        **arguments: Any,
    ) -> TrainingResult:
        """Train a model; ``device`` is that of this machine and is ignored.

        Raises:
            ConfigError: if there is no such cluster, or it has no resources to compute on.
            TrainingError: as ``train`` does, or if processes are lost again and again.
        """
        return train_on_ray(
            sentences,
            address=self.address,
            n_processes=self.processes,
            device=self.device,
            on_progress=on_progress,
            **arguments,
        )

    def score(
        self, version: ModelVersion, shards: Iterable[Sequence[PoolText]]
    ) -> Iterator[list[ScoredText]]:
        """Predict texts, in the order in which the cluster finishes them.

        Raises:
            ConfigError: if there is no such cluster, or it has no resources to compute on.
            JobError: if the cluster gives up.
        """
        waiting = iter(shards)
        part = list(islice(waiting, _ROUND))
        if not part:
            return
        with joined(self.address) as ray:
            while part:
                nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
                share = plan_share(nodes, n=self.processes, device=self.device)
                yield from self._score(version, part, share)
                part = list(islice(waiting, _ROUND))

    def _score(
        self, version: ModelVersion, shards: Sequence[Sequence[PoolText]], share: Share
    ) -> Iterator[list[ScoredText]]:
        import pyarrow
        from ray.data import ActorPoolStrategy, DataContext, from_arrow
        from ray.exceptions import RayError

        logging.getLogger("ray.data").setLevel(logging.ERROR)  # its import resets the level
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.max_consecutive_actor_init_deaths = _MAX_DEATHS
        model = {"folder": version.folder, "sha256": version.sha256, "precision": self.precision}
        tables = [pyarrow.Table.from_pylist([_to_row(text) for text in shard]) for shard in shards]
        scored = from_arrow(tables).map_batches(
            _Scorer,
            fn_constructor_kwargs={**model, "share": share},
            batch_size=_BATCH,
            batch_format="pyarrow",
            # Start all at once; after losing a node, one is enough to continue.
            compute=ActorPoolStrategy(min_size=1, max_size=share.n, initial_size=share.n),
            num_cpus=share.cpus,
            num_gpus=share.gpus or None,
        )
        try:
            for table in scored.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield [_from_row(row) for row in table.to_pylist()]
        except RayError as error:
            raise JobError(
                f"the cluster gave up scoring with {version.name} ({type(error).__name__}): each "
                f"node needs this version of annotator and the model at {version.folder}; see "
                "docs/howto/cluster.md, and Ray's logs on the nodes"
            ) from error


class _Scorer:
    """A model kept in the memory of one process of the cluster."""

    def __init__(self, *, folder: str, sha256: str, precision: Precision, share: Share) -> None:
        import torch

        if not share.gpus:
            torch.set_num_threads(share.cpus)
        if not is_checkpoint(Path(folder), sha256):
            raise CheckpointError(f"the files in {folder} are not those that were registered")
        self._predictor = Predictor.load(Path(folder), device=share.device, precision=precision)

    def __call__(self, table: Any) -> Any:
        rows = table.to_pylist()
        sentences = [
            TextSentence(
                start=0,
                text=row["text"],
                text_hash=row["text_hash"],
                tokens=_tokens(row["tokens"]),
            )
            for row in rows
        ]
        found = compute_predictions(self._predictor, sentences)
        return type(table).from_pylist(
            [
                {
                    "sentence_ids": row["sentence_ids"],
                    "text_hash": p.text_hash,
                    "labels": json.dumps(
                        {
                            "entities": p.entities,
                            "relations": p.relations,
                            "signals": p.signals,
                        }
                    ),
                    "embedding": p.embedding,
                }
                for row, p in zip(rows, found, strict=True)
            ]
        )


def _to_row(one: PoolText) -> dict[str, Any]:
    sentence = one.sentence
    return {
        "sentence_ids": list(one.sentence_ids),
        "text_hash": sentence.text_hash,
        "text": sentence.text,
        "tokens": json.dumps(sentence.tokens),
    }


def _tokens(value: str) -> tuple[tuple[int, int], ...] | None:
    tokens = json.loads(value)
    return None if tokens is None else tuple((start, end) for start, end in tokens)


def _from_row(row: dict[str, Any]) -> ScoredText:
    labels = json.loads(row["labels"])
    prediction = StoredPrediction(text_hash=row["text_hash"], embedding=row["embedding"], **labels)
    return ScoredText(sentence_ids=tuple(row["sentence_ids"]), prediction=prediction)
