"""Whether a newly trained model may replace the active one. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ShapeError
from annotator.training.evaluation import Evaluation, LayerEvaluation

__all__ = ["Decision", "JointScore", "decide", "joint_f1", "measure_joint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision of the gate.

    Attributes:
        promote: Whether the candidate becomes the active model.
        provisional: True if there was no hold-out to measure on.
        reasons: Why, one sentence each; all of them where the candidate is held.
        probability: P(ΔF1 > -tolerance) of the bootstrap; None if none was drawn.
    """

    promote: bool
    provisional: bool
    reasons: tuple[str, ...]
    probability: float | None = None


def joint_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of the entity and the relation micro F1, in per cent.

    If the gold has no relations it is only the entity F1: otherwise a single false alarm would
    halve the score of one model and not of the other.

    Args:
        counts: Sums in the order of ``evaluation.COLUMNS``. Shape ``(..., 6)``.

    Returns:
        Shape ``(...)``.
    """
    values = counts.astype(np.float64)
    hits = values[..., [0, 3]]  # (..., 2)
    totals = values[..., [1, 4]] + values[..., [2, 5]]  # (..., 2)
    f1 = 200.0 * hits / np.maximum(totals, 1.0)
    return np.asarray(np.where(values[..., 5] > 0, f1.mean(axis=-1), f1[..., 0]))  # (...)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointScore:
    """The joint F1 in per cent, with its 95 % interval and standard error."""

    f1: float
    low: float
    high: float
    error: float

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure_joint(
    scores: Evaluation, *, rng: np.random.Generator, n_resamples: int = 1_000
) -> JointScore | None:
    """Return the joint F1 with its error over bootstrap resamples of the sentences.

    None without sentences.
    """
    if scores.n_sentences == 0:
        return None
    sums = _draw(scores.n_sentences, n_resamples, rng) @ scores.sentence_counts  # (resamples, 6)
    drawn = joint_f1(sums)  # (resamples,)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return JointScore(
        f1=_total_f1(scores), low=float(low), high=float(high), error=float(drawn.std())
    )


def decide(
    candidate: Evaluation,
    incumbent: Evaluation | None,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1_000,
    tolerance: float = 0.5,
    confidence: float = 0.9,
    max_type_drop: float = 3.0,
    min_type_gold: int = 20,
) -> Decision:
    """Decide whether ``candidate`` replaces ``incumbent``; both scored on the same hold-out.

    The candidate is promoted if a paired bootstrap over sentences gives
    ``P(ΔF1 > -tolerance) >= confidence`` for the joint F1, and no entity or relation type with at
    least ``min_type_gold`` gold labels loses more than ``max_type_drop`` points.

    Raises:
        ShapeError: if the two were not scored on the same number of sentences.
    """
    if candidate.n_sentences == 0:
        return Decision(
            promote=True,
            provisional=True,
            reasons=("there is no hold-out yet: promoted without having been measured",),
        )
    if incumbent is None:
        return Decision(
            promote=True, provisional=False, reasons=("there is no active model to compare with",)
        )
    if candidate.n_sentences != incumbent.n_sentences:
        raise ShapeError(
            f"the candidate was scored on {candidate.n_sentences} sentences, the active model on "
            f"{incumbent.n_sentences}: score both on the same hold-out"
        )
    change = _bootstrap(candidate, incumbent, rng=rng, n_resamples=n_resamples)
    probability = float((change > -tolerance).mean())
    measured = (
        f"joint F1 {_total_f1(candidate):.1f} against {_total_f1(incumbent):.1f}; "
        f"P(change > -{tolerance}) = {probability:.3f}, {confidence} needed"
    )
    drops = _type_drops(candidate, incumbent, limit=max_type_drop, min_gold=min_type_gold)
    held = probability < confidence or bool(drops)
    return Decision(
        promote=not held,
        provisional=False,
        reasons=(measured, *drops),
        probability=probability,
    )


def _total_f1(evaluation: Evaluation) -> float:
    return float(joint_f1(evaluation.sentence_counts.sum(axis=0)))


def _bootstrap(
    candidate: Evaluation, incumbent: Evaluation, *, rng: np.random.Generator, n_resamples: int
) -> NDArray[np.float64]:
    weights = _draw(candidate.n_sentences, n_resamples, rng)
    new = joint_f1(weights @ candidate.sentence_counts)  # (resamples,)
    old = joint_f1(weights @ incumbent.sentence_counts)  # (resamples,)
    return new - old


def _draw(n: int, n_resamples: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw sentences with replacement, as counts. Shape ``(resamples, sentences)``."""
    return rng.multinomial(n, np.full(n, 1.0 / n), size=n_resamples)


def _type_drops(
    candidate: Evaluation, incumbent: Evaluation, *, limit: float, min_gold: int
) -> tuple[str, ...]:
    return (
        *_layer_drops("entity", candidate.ner, incumbent.ner, limit=limit, min_gold=min_gold),
        *_layer_drops("relation", candidate.re, incumbent.re, limit=limit, min_gold=min_gold),
    )


def _layer_drops(
    kind: str, new: LayerEvaluation, old: LayerEvaluation, *, limit: float, min_gold: int
) -> tuple[str, ...]:
    return tuple(
        f"{kind} type {name} falls from {old.types[name].f1:.1f} to {counts.f1:.1f} "
        f"({counts.n_gold} gold items; at most {limit} points allowed)"
        for name, counts in new.types.items()
        if name in old.types
        and counts.n_gold >= min_gold
        and round(old.types[name].f1 - counts.f1, 9)
        > limit  # a rounding error must not hold a model
    )
