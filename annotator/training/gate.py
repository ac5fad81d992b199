"""Whether a newly trained model may replace the active one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ShapeError
from annotator.training.evaluation import Evaluation, LayerEvaluation
from annotator.training.joint_score import Resamples, joint_f1

__all__ = ["Decision", "decide"]

_EPSILON = 1e-9  # a rounding error holds no model
_NEEDED = 0.6  # P(no worse): a rise by a quarter of its standard error
_NEEDED_OF_FEW = 0.05  # on a hold-out too small to judge by: all but the surely worse
_TYPE_ERROR = 0.1  # chance, over all types, that one is held against a model by luck
_RUN_ERROR = 1.0  # points by which runs of one recipe differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision of the gate.

    Attributes:
        promote: Whether the candidate becomes the active model.
        provisional: True if there was no hold-out to measure on, or too small a one to judge by.
        reasons: Why, one sentence each.
        probability: P(the candidate is no worse), from its joint F1 and that of the models held
            before it; None if there was nothing to compare.
    """

    promote: bool
    provisional: bool
    reasons: tuple[str, ...]
    probability: float | None = None


def decide(
    candidate: Evaluation,
    incumbent: Evaluation | None,
    *,
    rng: np.random.Generator,
    held: Sequence[Evaluation] = (),
    least: int = 1,
    n_resamples: int = 1_000,
    max_type_drop: float = 3.0,
    min_type_gold: int = 20,
) -> Decision:
    """Decide whether ``candidate`` replaces ``incumbent``; all scored on the same hold-out.

    The candidate is promoted if P(ΔF1 >= 0) >= 0.6 for the joint F1, with the standard error of a
    paired bootstrap over groups, unless an entity or relation type with at least ``min_type_gold``
    gold labels has surely lost more than ``max_type_drop`` points: P >= 1 - 0.1 / types in the
    same bootstrap. ``held`` are the candidates of the same recipe that were held against this
    incumbent; the change of the candidate is shrunk towards theirs. With fewer than ``least``
    sentences it is promoted, provisionally, if P >= 0.05.

    Raises:
        ShapeError: if they were not scored on the same sentences.
    """
    small, empty = _warn_small(candidate, least=least), _warn_empty(candidate)
    if incumbent is None or candidate.n_sentences == 0:
        reasons = (_describe_first(candidate), *empty, *small)
        return Decision(promote=True, provisional=bool(small), reasons=reasons)
    for other in (incumbent, *held):
        _check_same(candidate, other)
    resamples = Resamples(candidate.groups, n_resamples=n_resamples, rng=rng)
    probability = _probability([candidate, *held], incumbent, resamples)
    drops = _type_drops(
        candidate, incumbent, resamples, limit=max_type_drop, min_gold=min_type_gold
    )
    needed = _NEEDED_OF_FEW if small else _NEEDED
    change = _describe(
        (_total(incumbent), _total(candidate)),
        probability=probability,
        needed=needed,
        n_held=len(held),
        falls=bool(drops),
    )
    return Decision(
        promote=probability >= needed and not drops,
        provisional=bool(small),
        reasons=(change, *drops, *empty, *small),
        probability=probability,
    )


def _check_same(candidate: Evaluation, other: Evaluation) -> None:
    if candidate.groups != other.groups:
        raise ShapeError(
            f"the candidate was scored on {candidate.n_sentences} sentences, another model on "
            f"{other.n_sentences} or on others: score both on the same hold-out"
        )


def _total(evaluation: Evaluation) -> float:
    return float(joint_f1(evaluation.sentence_counts.sum(axis=0)))


# ---------------------------------------------------------------- the joint F1


def _probability(
    candidates: Sequence[Evaluation], incumbent: Evaluation, resamples: Resamples
) -> float:
    """Return P(the first candidate is no worse), given the others as well."""
    totals = [_total(one) - _total(incumbent) for one in candidates]
    old = joint_f1(resamples.sums(incumbent.sentence_counts))  # (resamples,)
    drawn = [joint_f1(resamples.sums(one.sentence_counts)) - old for one in candidates]
    changes = np.stack(drawn, axis=1)  # (resamples, candidates)
    weights = _shrink(np.atleast_2d(np.cov(changes, rowvar=False)))
    change, error = float(weights @ totals), float((changes @ weights).std())
    if error < _EPSILON:
        return float(change > -_EPSILON)
    return 0.5 * math.erfc(-change / error / math.sqrt(2))


def _shrink(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights with which measured changes give the best estimate of the first.

    The true changes are a common one, of which nothing is known, and ``_RUN_ERROR`` between runs;
    the measured ones err with ``covariance``, since all share hold-out and incumbent. This is the
    best linear unbiased predictor (Robinson 1991). The weights sum to 1.

    Args:
        covariance: Shape ``(candidates, candidates)``.

    Returns:
        Shape ``(candidates,)``.
    """
    n = len(covariance)
    precision = (np.eye(n) - 1.0 / n) / _RUN_ERROR**2
    first = np.eye(n)[0]
    weights: NDArray[np.float64] = np.linalg.solve((np.eye(n) + covariance @ precision).T, first)
    return weights


# ---------------------------------------------------------------- types


def _type_drops(
    candidate: Evaluation,
    incumbent: Evaluation,
    resamples: Resamples,
    *,
    limit: float,
    min_gold: int,
) -> tuple[str, ...]:
    layers = (("entity", candidate.ner, incumbent.ner), ("relation", candidate.re, incumbent.re))
    found = [
        (f"{kind} type {name}", after, before)
        for kind, new, old in layers
        for name, after, before in _shared_types(new, old, min_gold=min_gold)
    ]
    reasons = []
    for title, new_counts, old_counts in found:
        drop = _f1(resamples.sums(old_counts)) - _f1(resamples.sums(new_counts))  # (resamples,)
        sure = float((drop > limit + _EPSILON).mean())
        if sure >= 1 - _TYPE_ERROR / len(found):
            before, after = (float(_f1(c.sum(axis=0))) for c in (old_counts, new_counts))
            reasons.append(
                f"{title} fell from {before:.1f} to {after:.1f}, surely by more than "
                f"{limit:g} points ({int(new_counts[:, 2].sum())} gold labels)"
            )
    return tuple(reasons)


def _shared_types(
    new: LayerEvaluation, old: LayerEvaluation, *, min_gold: int
) -> Iterator[tuple[str, NDArray[np.int32], NDArray[np.int32]]]:
    """Yield name and counts, new and old, of the types with enough gold. Shape (sentences, 3)."""
    for i, name in enumerate(new.names):
        counts = new.type_counts[:, i]
        if name in old.names and counts[:, 2].sum() >= min_gold:
            yield name, counts, old.type_counts[:, old.names.index(name)]


def _f1(counts: NDArray[np.number[Any]]) -> NDArray[np.float64]:
    return np.asarray(200.0 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1))


# ---------------------------------------------------------------- words


def _describe_first(candidate: Evaluation) -> str:
    if candidate.n_sentences == 0:
        return "promoted without having been measured: there is no hold-out yet"
    return (
        f"promoted: there was no model in use; joint F1 is {_total(candidate):.1f} on "
        f"{candidate.n_sentences} hold-out sentences"
    )


def _describe(
    f1: tuple[float, float], *, probability: float, needed: float, n_held: int, falls: bool
) -> str:
    before, after = f1
    old, new = f"{before:.1f}", f"{after:.1f}"
    is_up = after >= before - _EPSILON
    moved = (
        f"{'rose' if is_up else 'fell'} from {old} to {new}" if old != new else f"stayed at {new}"
    )
    sure = f"sure to {_percent(probability if is_up else 1 - probability)} %"
    if probability < needed and is_up:
        sure += f", {_percent(needed)} % needed"
    if n_held:
        models = "1 model" if n_held == 1 else f"{n_held} models"
        sure += f", judged together with the {models} held before it"
    passed = "held, though" if falls else "promoted:"
    word = passed if probability >= needed else "held:"
    return f"{word} joint F1 {moved} ({sure})"


def _percent(probability: float) -> int:
    return min(99, math.floor(100 * probability + _EPSILON))  # nothing is sure


def _warn_small(candidate: Evaluation, *, least: int) -> tuple[str, ...]:
    if candidate.n_sentences >= least:
        return ()
    if candidate.n_sentences == 0:
        return ("provisional: nobody knows how good it is",)
    return (
        f"provisional: {candidate.n_sentences} hold-out sentences are too few to judge by "
        f"({least} needed, setting holdout_least)",
    )


def _warn_empty(candidate: Evaluation) -> tuple[str, ...]:
    n_gold = int(candidate.sentence_counts[:, [2, 5]].sum())
    if n_gold == 0 or _total(candidate) > 0:
        return ()
    return (f"it finds nothing: none of {n_gold} gold labels of the hold-out is right",)
