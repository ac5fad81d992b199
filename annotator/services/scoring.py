"""Scoring the pool: predictions and utilities of every sentence that an open task shows.

The pool is walked in shards of a fixed size, in order of sentence ids. A shard is computed and then
stored in one transaction, so memory does not grow with the pool, and a run that was killed goes on
where it was: what is scored already is not found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from annotator.active import get_strategy
from annotator.model import Predictor
from annotator.services.predict import compute_predictions, to_text_sentences
from annotator.store.database import Database
from annotator.store.pool import count_unscored, sentences_by_id, unscored_sentences
from annotator.store.versions import predictions_for, save_acquisitions, save_predictions

__all__ = ["SHARD", "score_pool", "score_sentences", "shards_to_score"]

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


def score_sentences(
    database: Database,
    version_id: int,
    predictor: Predictor,
    sentence_ids: Sequence[int],
    *,
    strategy: str,
) -> int:
    """Predict these sentences and store predictions and utilities, all or nothing.

    A text that the version has predicted already is not predicted again. May run twice, and beside
    another that scores the same sentences.

    Returns:
        How many texts were predicted anew.
    """
    chosen = get_strategy(strategy)
    with database.read() as session:
        stored = sentences_by_id(session, sentence_ids)
        known = predictions_for(session, version_id, [s.text_hash for s in stored])
    by_hash = {s.text_hash: s for s in stored}
    fresh = compute_predictions(
        predictor,
        to_text_sentences([s for h, s in by_hash.items() if h not in known], region_start=0),
    )
    known.update({p.text_hash: p for p in fresh})
    values = chosen.score_each([known[s.text_hash].signals for s in stored]).tolist()
    with database.write() as session:
        save_predictions(session, version_id, fresh)
        save_acquisitions(
            session,
            version_id,
            strategy=strategy,
            utilities=dict(zip([s.id for s in stored], values, strict=True)),
        )
    return len(fresh)


def score_pool(
    database: Database,
    project_id: int,
    version_id: int,
    predictor: Callable[[], Predictor],
    *,
    strategy: str,
    size: int = SHARD,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Score all sentences of open tasks that lack it, shard by shard; return how many.

    ``predictor`` loads the model; it is called only if there is something to score.
    """
    done, total = 0, 0
    for ids in shards_to_score(database, project_id, version_id, strategy=strategy, size=size):
        if not done and on_progress is not None:
            with database.read() as session:
                total = count_unscored(
                    session, project_id, version_id=version_id, strategy=strategy
                )
        score_sentences(database, version_id, predictor(), ids, strategy=strategy)
        done += len(ids)
        if on_progress is not None:
            on_progress(done, max(done, total))
    return done
