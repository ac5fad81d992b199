"""``annotator bench store``: a large project in its own database, and the reads from it."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from annotator.bench.clock import Report
from annotator.bench.generated import GeneratedNotes, GeneratedPredictor
from annotator.bench.machine import describe_machine
from annotator.domain import LabelSchema
from annotator.errors import ConfigError
from annotator.services.inference.compute import LocalEngine
from annotator.services.inference.scoring import score_pool
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue.order import QueueSettings, order_tasks
from annotator.services.queue.sampled_order import choose_next
from annotator.services.queue.score import labelled_embeddings
from annotator.services.reports.status import project_status
from annotator.settings import init_home, load_settings
from annotator.store.database import Database
from annotator.store.documents import count_sentences, sentences_without_task
from annotator.store.projects import Project, ensure_project
from annotator.store.pushes import record_pushes
from annotator.store.runs import submit_run
from annotator.store.snapshots import take_snapshot
from annotator.store.tasks import NewTask, add_tasks
from annotator.store.versions import ModelVersion, activate_version, add_version

__all__ = ["StoreBenchPlan", "bench_store"]

_GOLD: Final = 200  # labelled notes
_WARM: Final = 20_000  # sentences after which memory should not grow
_SHARD: Final = 5_000
_TIMES: Final = 7
_QUEUE: Final = QueueSettings(strategy="mnlp", batch=50, random_share=0.15, per_document=3, seed=13)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBenchPlan:
    """What to measure.

    Attributes:
        n_sentences: Sentences of the pool, each a task.
        database_url: An empty database; None creates a SQLite file.
    """

    n_sentences: int
    database_url: str | None


def bench_store(plan: StoreBenchPlan, *, home: Path, report: Report) -> dict[str, Any]:
    """Import, score and order a pool, then read it; return plain JSON values.

    Texts and scores are generated; the rest is what a worker does. ``home`` is an empty or missing
    folder.

    Raises:
        ConfigError: if the database already has sentences.
    """
    machine = describe_machine(torch.device("cpu"))
    given = {} if plan.database_url is None else {"database_url": plan.database_url}
    init_home(home, project="bench", unit="sentence", encoder="minilm", **given)
    settings = load_settings(home)
    database = Database(settings.database)
    try:
        database.upgrade()
        bench = _Bench(database, report)
        bench.ingest(_GOLD, role="gold")
        warm = min(_WARM, plan.n_sentences)
        bench.grow(warm)
        before_mb = _peak_mb()
        bench.grow(plan.n_sentences - warm)
        after_mb = _peak_mb()
        batch, order_s = bench.choose(), bench.order()
        status = _timed(lambda: project_status(database, bench.project, settings))
        return {
            "next_batch_s": round(statistics.median(batch), 4),
            "next_batch_first_s": round(batch[0], 4),
            "status_s": round(statistics.median(status), 4),
            "status_first_s": round(status[0], 4),
            "ingest_per_s": round(bench.n_ingested / bench.ingest_s),
            "score_per_s": round(bench.n_scored / bench.score_s),
            "order_s": round(order_s, 2),
            "rss_growth_mb": round(after_mb - before_mb, 1),
            "rss_growth_ordered_mb": round(_peak_mb() - before_mb, 1),
            "n_sentences": bench.n_scored,
            "n_repetitions": _TIMES,
            "engine": database.engine_name,
            **machine,
        }
    finally:
        database.close()


class _Bench:
    """A growing project and its measurements."""

    def __init__(self, database: Database, report: Report) -> None:
        self.database = database
        self.report = report
        with database.write() as session:
            self.project = ensure_project(session, name="bench", unit="sentence")
            if count_sentences(session, self.project.id):
                raise ConfigError("the database is in use; give an empty one")
        self.version = _add_version(database, self.project)
        self.predictor = GeneratedPredictor()
        self.n_ingested = self.n_scored = self.n_tasks = 0
        self.ingest_s = self.score_s = 0.0

    def grow(self, n: int) -> None:
        """Import ``n`` more sentences, make them tasks, score them."""
        if not n:
            return
        self.ingest(n // GeneratedNotes.per_note, role="pool")
        self._make_tasks()
        started = time.perf_counter()
        self.n_scored += score_pool(
            LocalEngine(load=lambda _version: self.predictor),
            self.database,
            self.project.id,
            self.version,
            strategy=_QUEUE.strategy,
            on_progress=lambda done, total: self.report("score", done, total),
        )
        self.score_s += time.perf_counter() - started

    def ingest(self, n: int, *, role: Any) -> None:
        """Import ``n`` notes."""
        notes = GeneratedNotes(n, name=role, first=self.n_ingested, labelled=role == "gold")
        started = time.perf_counter()
        found = ingest_documents(
            self.database,
            self.project.id,
            notes,
            role=role,
            holdout_share=0.15,
            seed=_QUEUE.seed,
            on_progress=lambda done: self.report("import", done, n),
        )
        if role == "pool":
            self.ingest_s += time.perf_counter() - started - notes.seconds
            self.n_ingested += found.n_sentences

    def _make_tasks(self) -> None:
        """Make each new sentence an open task for which Label Studio has a prediction."""
        after = 0
        while True:
            with self.database.write() as session:
                rows = sentences_without_task(session, self.project.id, after=after, limit=_SHARD)
                if not rows:
                    return
                tasks = [
                    NewTask(studio_id=s.id, document_id=s.document_id, sentence_id=s.id)
                    for s in rows
                ]
                ids = add_tasks(session, self.project.id, tasks)
                draw = np.random.default_rng(after)
                scores = dict(zip(ids, draw.random(len(ids)).tolist(), strict=True))
                record_pushes(session, self.project.id, version_id=self.version.id, scores=scores)
            after = rows[-1].id
            self.n_tasks += len(ids)
            self.report("tasks", self.n_tasks, self.n_ingested)

    def choose(self) -> list[float]:
        """Choose the next batch with several seeds, as ``annotator next`` does."""
        anchors = labelled_embeddings(
            self.database, self.project.id, self.version.id, lambda: self.predictor
        )
        seeds = iter(range(_TIMES))
        return _timed(
            lambda: choose_next(
                self.database,
                self.project.id,
                self.version.id,
                n=_QUEUE.batch,
                labelled=anchors,
                settings=_with_seed(next(seeds)),
            )
        )

    def order(self) -> float:
        """Order all tasks, as after a promotion; return the seconds."""
        anchors = labelled_embeddings(
            self.database, self.project.id, self.version.id, lambda: self.predictor
        )
        started = time.perf_counter()
        order_tasks(
            self.database, self.project.id, self.version.id, labelled=anchors, settings=_QUEUE
        )
        return time.perf_counter() - started


def _with_seed(seed: int) -> QueueSettings:
    return QueueSettings(
        strategy=_QUEUE.strategy,
        batch=_QUEUE.batch,
        random_share=_QUEUE.random_share,
        per_document=_QUEUE.per_document,
        seed=seed,
    )


def _add_version(database: Database, project: Project) -> ModelVersion:
    schema = LabelSchema(entity_types=("Drug",), relation_types=(), pairs=frozenset())
    with database.write() as session:
        run, _ = submit_run(session, project.id, trigger="bench")
        snapshot = take_snapshot(session, project.id, schema=schema, members={}, n_sentences=0)
        version = add_version(
            session,
            project.id,
            name="bench",
            folder="",
            sha256="0" * 64,
            run_id=run.id,
            snapshot_id=snapshot.id,
        )
        activate_version(session, project.id, version.id, provisional=True)
    return version


def _timed(run: Callable[[], object]) -> list[float]:
    seconds = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return seconds


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
