"""Hold-outs drawn again and again, and what the gate says to a model of known gain on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from annotator.training import Evaluation, decide
from power.before import decide_before
from power.population import Answers, Population

__all__ = ["Cell", "Shares", "promoted", "promoted_in_tries"]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Models that are truly ``gain`` points better, on ``n_trials`` hold-outs."""

    gain: float
    n_sentences: int
    n_trials: int
    n_resamples: int = 400
    seed: int = 1


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Shares of the hold-outs on which the model is promoted, now and before.

    ``held_by_type`` is the share that a type held before of what the bootstrap had passed.
    """

    now: float
    before: float
    held_by_type: float


def _draw(
    population: Population, cell: Cell, candidates: list[Answers], rng: np.random.Generator
) -> Iterator[tuple[Evaluation, list[Evaluation]]]:
    for _ in range(cell.n_trials):
        sentences = population.draw(cell.n_sentences, rng)
        yield (
            population.score(population.in_use, sentences),
            [population.score(one, sentences) for one in candidates],
        )


def promoted(population: Population, cell: Cell, *, before: bool = True) -> Shares:
    """Draw hold-outs and judge on each; ``before`` False leaves out the former rule."""
    rng = np.random.default_rng(cell.seed)
    now, passed, held = [], [], []
    for incumbent, (candidate,) in _draw(population, cell, [population.candidate(cell.gain)], rng):
        now.append(decide(candidate, incumbent, rng=rng, n_resamples=cell.n_resamples).promote)
        if before:
            passes, falls = decide_before(candidate, incumbent, rng=rng, n_resamples=200)
            passed.append(passes)
            held.append(passes and falls)
    n_passed = sum(passed)
    return Shares(
        now=sum(now) / cell.n_trials,
        before=(n_passed - sum(held)) / cell.n_trials,
        held_by_type=sum(held) / max(n_passed, 1),
    )


def promoted_in_tries(population: Population, cell: Cell) -> tuple[float, float, float]:
    """Return how often a model of this gain is promoted in one try, and in several.

    The tries are the models of the population, which agree as little with each other as with the
    one in use; first each is judged by itself, then together with those held before.
    """
    candidates = [population.candidate(cell.gain, k) for k in range(1, population.n_models)]
    rng = np.random.default_rng(cell.seed)
    found = np.zeros(3)
    for incumbent, tries in _draw(population, cell, candidates, rng):
        alone = [
            decide(one, incumbent, rng=rng, n_resamples=cell.n_resamples).promote for one in tries
        ]
        together = any(
            decide(
                one, incumbent, rng=rng, held=tries[:i][-3:], n_resamples=cell.n_resamples
            ).promote
            for i, one in enumerate(tries)
        )
        found += [alone[0], any(alone), together]
    once, each, joint = (found / cell.n_trials).tolist()
    return once, each, joint
