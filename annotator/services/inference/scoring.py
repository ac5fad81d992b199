"""Scoring the pool: predictions and utilities of every sentence that an open task shows.

The pool is processed in shards of a fixed size, in order of sentence ids. A shard is computed and
then stored in one transaction, so memory does not grow with the pool, and a killed run continues
where it stopped: sentences that are scored already are not selected again.

A strategy that ranks a sentence among all others uses a sample of the pool, predicted before the
shards are. A sentence's utility then depends on no other shard, and each shard can be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.active import ScoredPool, get_strategy, sample_of
from annotator.active.cost import AnnotationCost, per_second
from annotator.services.inference.compute import Engine
from annotator.services.inference.predictions import PoolText, ScoredText, to_text_sentences
from annotator.store.database import Database
from annotator.store.pool import (
    count_unscored,
    open_sentences,
    sentences_by_id,
    unscored_sentences,
)
from annotator.store.versions import (
    ModelVersion,
    StoredPrediction,
    predictions_for,
    save_acquisitions,
    save_predictions,
)

__all__ = ["SHARD", "score_pool", "shards_to_score"]

SHARD = 1024  # sentences: enough to fill batches of one length, a few MB of memory
_SAMPLE = 2500  # sentences that ranks are computed in: a standard error of at most 0.01


def shards_to_score(
    database: Database, project_id: int, version_id: int, *, strategy: str, size: int = SHARD
) -> Iterator[list[int]]:
    """Yield the ids of all sentences that are not scored yet, each once, ``size`` at a time.

    No transaction is open while the caller works on a shard, and the caller may ask for the next
    shard before it has finished one.
    """
    after = 0
    while True:
        with database.read() as session:
            ids = unscored_sentences(
                session,
                project_id,
                version_id=version_id,
                strategy=strategy,
                after=after,
                limit=size,
            )
        if not ids:
            return
        yield ids
        after = ids[-1]


def score_pool(
    engine: Engine,
    database: Database,
    project_id: int,
    version: ModelVersion,
    *,
    strategy: str,
    labelled: NDArray[np.float32] | None = None,
    cost: AnnotationCost | None = None,
    size: int = SHARD,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Score all sentences of open tasks that are not scored yet; return how many there were.

    The engine may read ahead and answer in any order. Each answer is stored at once, in a
    transaction of its own; only this process accesses the database.

    ``strategy`` names whose utilities are stored, ``labelled`` are embeddings of labelled sentences
    for strategies that keep away from them. ``cost`` weighs the utilities by seconds; None leaves
    them unweighted. A shard has ``size`` sentences. ``on_progress`` receives the number scored and
    the total.

    Raises:
        ConfigError: if the strategy is for simulations only.
        JobError: if the engine gives up; its answers so far are stored.
    """
    pool = _Pool(
        database, project_id, version, strategy=strategy, size=size, labelled=labelled, cost=cost
    )
    for answer in engine.score(version, pool.sample_shards()):
        pool.keep(answer)
    pool.take_sample()
    for answer in engine.score(version, pool.shards()):
        pool.store(answer)
        if on_progress is not None:
            on_progress(pool.n_scored, max(pool.n_scored, pool.n_sentences))
    return pool.n_scored


class _Pool:
    """The sentences to be scored, and the results so far."""

    def __init__(
        self,
        database: Database,
        project_id: int,
        version: ModelVersion,
        *,
        strategy: str,
        size: int,
        labelled: NDArray[np.float32] | None,
        cost: AnnotationCost | None,
    ) -> None:
        self._database, self._project_id, self._version_id = database, project_id, version.id
        self._strategy, self._size, self._labelled = strategy, size, labelled
        self._chosen = get_strategy(strategy)
        self._chosen.check_queue()
        self._sampled: list[int] = []
        self._sample = sample_of((), ScoredPool.of([]))
        self._cost = cost
        self.n_sentences = self.n_scored = 0

    def sample_shards(self) -> Iterator[list[PoolText]]:
        """Yield the sample's texts that are not predicted yet, if the strategy needs a sample."""
        if not self._chosen.term.ranked or next(self._shards(size=1), None) is None:
            return
        with self._database.read() as session:
            ids = open_sentences(session, self._project_id)
        rng = np.random.default_rng(self._version_id)
        chosen = rng.choice(ids, size=min(_SAMPLE, len(ids)), replace=False)
        self._sampled = sorted(chosen.tolist())
        for i in range(0, len(self._sampled), self._size):
            unknown, _ = self._read(self._sampled[i : i + self._size])
            if unknown:
                yield unknown

    def keep(self, answer: Sequence[ScoredText]) -> None:
        """Store predictions of the sample; they are found again when their shard comes."""
        with self._database.write() as session:
            save_predictions(session, self._version_id, [one.prediction for one in answer])

    def take_sample(self) -> None:
        """Keep the values of the sample's sentences."""
        if self._sampled:
            _, known = self._read(self._sampled)
            pool = ScoredPool.of([p.signals for p in known.values()])
            self._sample = sample_of(self._chosen.term.ranked, pool)

    def shards(self) -> Iterator[list[PoolText]]:
        """Yield the texts that are not predicted yet; score those that are."""
        if self._chosen.term.ranked and not self._sampled:
            return  # sentences added since the sample was drawn wait for the next pass
        for ids in self._shards(size=self._size):
            if not self.n_sentences:
                with self._database.read() as session:
                    self.n_sentences = count_unscored(
                        session,
                        self._project_id,
                        version_id=self._version_id,
                        strategy=self._strategy,
                    )
            unknown, known = self._read(ids)
            self._store((), known)
            if unknown:
                yield unknown

    def _shards(self, *, size: int) -> Iterator[list[int]]:
        return shards_to_score(
            self._database, self._project_id, self._version_id, strategy=self._strategy, size=size
        )

    def _read(self, ids: Sequence[int]) -> tuple[list[PoolText], dict[int, StoredPrediction]]:
        """Return texts without a prediction, each once, and known predictions by sentence id."""
        with self._database.read() as session:
            stored = sentences_by_id(session, ids)
            known = predictions_for(session, self._version_id, [s.text_hash for s in stored])
        same: dict[str, list[int]] = {}
        for s in stored:
            same.setdefault(s.text_hash, []).append(s.id)
        texts = {s.text_hash: s for s in to_text_sentences(stored, region_start=0)}
        unknown = [
            PoolText(sentence_ids=tuple(found), sentence=texts[h])
            for h, found in same.items()
            if h not in known
        ]
        return unknown, {i: known[h] for h, found in same.items() if h in known for i in found}

    def store(self, answer: Sequence[ScoredText]) -> None:
        """Store an answer of the engine."""
        self._store(
            [one.prediction for one in answer],
            {i: one.prediction for one in answer for i in one.sentence_ids},
        )

    def _store(
        self, fresh: Sequence[StoredPrediction], by_sentence: Mapping[int, StoredPrediction]
    ) -> None:
        if not by_sentence:
            return
        found = by_sentence.values()
        pool = ScoredPool.of(
            [p.signals for p in found],
            embeddings=np.stack([np.frombuffer(p.embedding, dtype=np.float16) for p in found]),
            labelled=self._labelled,
            sample=self._sample,
        )
        values = self._chosen.utilities(pool)
        if self._cost is not None and self._chosen.is_rate:
            values = per_second(
                values,
                words=pool.column("n_words"),
                entities=np.array([len(p.entities) for p in found]),
                relations=np.array([len(p.relations) for p in found]),
                cost=self._cost,
            )
        with self._database.write() as session:
            save_predictions(session, self._version_id, fresh)
            save_acquisitions(
                session,
                self._version_id,
                strategy=self._strategy,
                utilities=dict(zip(by_sentence, values.tolist(), strict=True)),
            )
        self.n_scored += len(by_sentence)
