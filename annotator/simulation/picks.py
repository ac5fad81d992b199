"""Which sentences are labelled next, measured in words, by the queue's own procedure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from annotator.active import Candidate, get_strategy, select_batch
from annotator.domain import TaggedSentence
from annotator.simulation.arms import Arm
from annotator.simulation.scores import PoolScores

__all__ = ["pick_next", "take_words"]

_TRIES = 6


def take_words(
    order: Sequence[int], sentences: Sequence[TaggedSentence], n_words: int
) -> list[int]:
    """Return the shortest beginning of ``order`` that has at least ``n_words`` words."""
    taken, total = [], 0
    for i in order:
        if total >= n_words:
            break
        taken.append(i)
        total += len(sentences[i].words)
    return taken


def pick_next(
    arm: Arm,
    sentences: Sequence[TaggedSentence],
    scores: PoolScores,
    *,
    labelled: Sequence[int],
    n_words: int,
    random_share: float,
    rng: np.random.Generator,
) -> list[int]:
    """Choose unlabelled sentences with ``n_words`` words in all.

    ``select_batch`` makes the batch, with as many sentences as it takes to reach the words: the
    shorter they are, the larger the batch. ``sentences`` and ``scores`` cover the whole pool;
    ``labelled`` and the result are indices into it, the result in the order of the queue.
    ``random_share`` of the batch is drawn at random.
    """
    candidates = _candidates(arm, sentences, scores, labelled)
    left = [one.id for one in candidates]
    seed = int(rng.integers(2**32))
    mean = sum(len(sentences[i].words) for i in left) / max(1, len(left))
    n, batch = max(1, round(n_words / max(1.0, mean))), list[int]()
    for _ in range(_TRIES):
        chosen = select_batch(
            candidates,
            n,
            labelled=scores.embeddings[list(labelled)],
            rng=np.random.default_rng(seed),
            random_share=random_share,
            per_group=len(candidates),
            use_strategy=arm.strategy != "random",
        )
        batch = take_words([one.id for one in chosen], sentences, n_words)
        if abs(len(batch) - n) <= 0.02 * n or len(batch) == len(left):
            break
        n = len(batch)
    return batch


def _candidates(
    arm: Arm,
    sentences: Sequence[TaggedSentence],
    scores: PoolScores,
    labelled: Sequence[int],
) -> list[Candidate]:
    """Return the unlabelled sentences with their utilities."""
    taken = set(labelled)
    left = [i for i in range(len(sentences)) if i not in taken]
    pool = scores.scored(left, labelled=labelled)
    utilities = get_strategy(arm.strategy).utilities(pool).tolist()
    return [
        Candidate(
            id=i,
            utility=utility,
            group=sentences[i].id,
            embedding=scores.embeddings[i] if arm.is_diverse else None,
        )
        for i, utility in zip(left, utilities, strict=True)
    ]
