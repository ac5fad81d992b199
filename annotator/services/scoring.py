"""Scoring the pool: predictions and utilities of every sentence that an open task shows.

The pool is walked in shards of a fixed size, in order of sentence ids. A shard is computed and then
stored in one transaction, so memory does not grow with the pool, and a run that was killed goes on
where it was: what is scored already is not found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from annotator.active import get_strategy
from annotator.services.engine import Engine, PoolText, ScoredText
from annotator.services.predict import to_text_sentences
from annotator.store.database import Database
from annotator.store.pool import count_unscored, sentences_by_id, unscored_sentences
from annotator.store.versions import (
    ModelVersion,
    StoredPrediction,
    predictions_for,
    save_acquisitions,
    save_predictions,
)

__all__ = ["SHARD", "score_pool", "shards_to_score"]

SHARD = 1024  # sentences: enough to fill batches of one length, a few MB of memory


def shards_to_score(
    database: Database, project_id: int, version_id: int, *, strategy: str, size: int = SHARD
) -> Iterator[list[int]]:
    """Yield the ids of all sentences that are not scored yet, each once, ``size`` at a time.

    No transaction is open while the caller works on a shard, and it need not be done with one
    before it asks for the next.
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
    size: int = SHARD,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Score all sentences of open tasks that lack it, wherever ``engine`` computes.

    The engine may read ahead and answer in any order. What it answers is stored at once, each
    answer in a transaction of its own; this process alone touches the database.

    Returns:
        How many sentences were scored.

    Raises:
        JobError: if the engine gives up; what it has answered is stored.
    """
    pool = _Pool(database, project_id, version.id, strategy=strategy, size=size)
    for answer in engine.score(version, pool.shards()):
        pool.store(answer)
        if on_progress is not None:
            on_progress(pool.n_scored, max(pool.n_scored, pool.n_sentences))
    return pool.n_scored


class _Pool:
    """The sentences that are to be scored, and what came of them."""

    def __init__(
        self, database: Database, project_id: int, version_id: int, *, strategy: str, size: int
    ) -> None:
        self._database, self._project_id, self._version_id = database, project_id, version_id
        self._strategy, self._size = strategy, size
        self._chosen = get_strategy(strategy)
        self.n_sentences = self.n_scored = 0

    def shards(self) -> Iterator[list[PoolText]]:
        """Yield the texts that are not predicted yet; score those that are."""
        for ids in shards_to_score(
            self._database,
            self._project_id,
            self._version_id,
            strategy=self._strategy,
            size=self._size,
        ):
            with self._database.read() as session:
                if not self.n_sentences:
                    self.n_sentences = count_unscored(
                        session,
                        self._project_id,
                        version_id=self._version_id,
                        strategy=self._strategy,
                    )
                stored = sentences_by_id(session, ids)
                known = predictions_for(session, self._version_id, [s.text_hash for s in stored])
            same: dict[str, list[int]] = {}
            for s in stored:
                same.setdefault(s.text_hash, []).append(s.id)
            texts = {s.text_hash: s for s in to_text_sentences(stored, region_start=0)}
            self._store((), {i: known[h] for h, found in same.items() if h in known for i in found})
            unknown = [
                PoolText(sentence_ids=tuple(found), sentence=texts[h])
                for h, found in same.items()
                if h not in known
            ]
            if unknown:
                yield unknown

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
        values = self._chosen.score_each([p.signals for p in by_sentence.values()]).tolist()
        with self._database.write() as session:
            save_predictions(session, self._version_id, fresh)
            save_acquisitions(
                session,
                self._version_id,
                strategy=self._strategy,
                utilities=dict(zip(by_sentence, values, strict=True)),
            )
        self.n_scored += len(by_sentence)
