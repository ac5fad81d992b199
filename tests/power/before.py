"""The gate as it was before it knew groups and the errors of types, for comparison."""

from __future__ import annotations

import numpy as np

from annotator.training import Evaluation
from annotator.training.joint_score import joint_f1

__all__ = ["decide_before"]


def decide_before(
    candidate: Evaluation,
    incumbent: Evaluation,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1_000,
) -> tuple[bool, bool]:
    """Return whether the bootstrap passed the candidate, and whether a type held it."""
    n = candidate.n_sentences
    weights = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float)
    new, old = (joint_f1(weights @ one.sentence_counts) for one in (candidate, incumbent))
    falls = any(
        counts.n_gold >= 20 and old_counts.f1 - counts.f1 > 3
        for after, before in ((candidate.ner, incumbent.ner), (candidate.re, incumbent.re))
        for counts, old_counts in zip(after.types.values(), before.types.values(), strict=True)
    )
    return bool((new - old > -0.5).mean() >= 0.9), falls
