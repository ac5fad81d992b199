"""The gain from a second worker: scoring and training on this machine and on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from annotator.bench.clock import Report, median_ratio
from annotator.bench.machine import describe_machine
from annotator.bench.ray_nodes import RayNodes
from annotator.domain import Document, LabelSchema, TaggedSentence
from annotator.model import Predictor, checkpoint_sha256
from annotator.services.inference.compute import Engine, LocalEngine
from annotator.services.inference.predictions import PoolText, segment_text
from annotator.services.inference.ray_engine import RayEngine
from annotator.store.versions import ModelVersion
from annotator.text import align_document
from annotator.training import TrainingResult, TrainingSettings

__all__ = ["EngineBenchPlan", "bench_engine"]

_SHARD = 1024  # sentences the cluster scores per call; smaller shards would come back as one
_WORKERS = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineBenchPlan:
    """What to measure.

    Attributes:
        encoder: Encoder of the model.
        n_sentences: Sentences scored per round, at least 3,073: answers arrive by the thousand, and
            the first ones of two workers are not counted.
        n_steps: Training steps per round.
        n_rounds: Rounds; the median of their ratios counts.
    """

    encoder: str = "minilm"
    n_sentences: int = 8192
    n_steps: int = 30
    n_rounds: int = 3


def bench_engine(
    documents: Sequence[Document], plan: EngineBenchPlan, *, home: Path, report: Report
) -> dict[str, Any]:
    """Score and train with one worker and with two, on this machine and on a cluster.

    Every worker has one core. The cluster is a head and two nodes in processes of this machine, so
    the figures exclude the network. They also exclude start-up: training is timed in its steps,
    scoring from the moment each worker has answered once to the last answer.

    The gold ``documents`` are trained on, and their text is scored again and again. ``home`` is an
    empty folder for models.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    nodes = RayNodes()
    try:
        nodes.fill(max(_WORKERS))
        bench = _Bench(documents, plan, home, nodes.address)
        for i in range(plan.n_rounds):
            bench.run(i)
            report("engine", i + 1, plan.n_rounds)
    finally:
        nodes.close()
        torch.set_num_threads(before)
    words, sentences = bench.words_per_s, bench.sentences_per_s
    return {
        "training_2_vs_1": median_ratio(words["ray_2"], words["ray_1"]),
        "training_local_2_vs_1": median_ratio(words["local_2"], words["local_1"]),
        "training_ray_vs_local": median_ratio(words["ray_1"], words["local_1"]),
        "scoring_2_vs_1": median_ratio(sentences["ray_2"], sentences["ray_1"]),
        "scoring_ray_vs_local": median_ratio(sentences["ray_1"], sentences["local_1"]),
        "words_per_s": {name: round(median(found), 1) for name, found in words.items()},
        "sentences_per_s": {name: round(median(found), 1) for name, found in sentences.items()},
        "first_answer_s": {
            name: round(median(found), 1) for name, found in bench.first_answer_s.items()
        },
        "n_sentences": plan.n_sentences,
        "n_steps": plan.n_steps,
        "n_rounds": plan.n_rounds,
        "encoder": plan.encoder,
        "cores_per_worker": 1,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **describe_machine(torch.device("cpu")),
    }


class _Bench:
    """The contestants, their data, and the measurements."""

    def __init__(
        self, documents: Sequence[Document], plan: EngineBenchPlan, home: Path, address: str
    ) -> None:
        self._plan, self._home = plan, home
        self._schema = LabelSchema.from_documents(documents)
        self._gold: list[TaggedSentence] = [
            sentence for d in documents for sentence in align_document(d).sentences
        ]
        self._texts = [s for d in documents for s in segment_text(d) if s.text.strip()]
        self._local = {n: LocalEngine(processes=n) for n in _WORKERS}
        self._ray = {n: RayEngine(address=address, processes=n, device="cpu") for n in _WORKERS}
        self.words_per_s: dict[str, list[float]] = {}
        self.sentences_per_s: dict[str, list[float]] = {}
        self.first_answer_s: dict[str, list[float]] = {}

    def run(self, i: int) -> None:
        """Let every contestant train and score once."""
        trained: TrainingResult | None = None
        for name, engines in (("local", self._local), ("ray", self._ray)):
            for n, engine in engines.items():
                trained = self._train(engine, self._home / f"{name}-{n}-{i}")
                self.words_per_s.setdefault(f"{name}_{n}", []).append(trained.words_per_s)
        assert trained is not None  # noqa: S101 (there are contestants)
        version = _version(trained)
        predictor = Predictor.load(trained.folder, device="cpu")
        self._score("local_1", LocalEngine(load=lambda _version: predictor), version, n_workers=1)
        for n, engine in self._ray.items():
            self._score(f"ray_{n}", engine, version, n_workers=n)

    def _train(self, engine: Engine, folder: Path) -> TrainingResult:
        n_epochs = 1 + self._plan.n_steps * 16 // len(self._gold)
        settings = TrainingSettings(
            epochs=n_epochs, min_steps=0, precision="fp32", entity_pretraining=False
        )
        return engine.train(
            self._gold[: self._plan.n_steps * 16 // n_epochs],
            device="cpu",
            schema=self._schema,
            encoder=self._plan.encoder,
            settings=settings,
            folder=folder,
        )

    def _score(self, name: str, engine: Engine, version: ModelVersion, *, n_workers: int) -> None:
        started = time.perf_counter()
        n_later, first_s, counted_from = 0, 0.0, 0.0
        for n_answers, answer in enumerate(engine.score(version, self._shards()), start=1):
            now = time.perf_counter()
            if n_answers == 1:
                first_s = now - started
            if n_answers <= n_workers:
                counted_from = now
            else:
                n_later += len(answer)
        rate = n_later / (time.perf_counter() - counted_from)
        self.sentences_per_s.setdefault(name, []).append(rate)
        self.first_answer_s.setdefault(name, []).append(first_s)

    def _shards(self) -> Iterator[list[PoolText]]:
        n = self._plan.n_sentences
        texts = [self._texts[i % len(self._texts)] for i in range(n)]
        for first in range(0, n, _SHARD):
            yield [
                PoolText(sentence_ids=(first + k,), sentence=text)
                for k, text in enumerate(texts[first : first + _SHARD])
            ]


def _version(trained: TrainingResult) -> ModelVersion:
    return ModelVersion(
        id=1,
        name=trained.folder.name,
        state="candidate",
        provisional=False,
        folder=str(trained.folder),
        sha256=checkpoint_sha256(trained.folder),
        run_id=1,
        snapshot_id=1,
        created_at=datetime.now(UTC),
        promoted_at=None,
        metrics={},
    )
