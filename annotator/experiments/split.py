"""Divide sentences into folds, held-out shares and draws. Pure; whole groups stay together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from annotator.errors import InputError

__all__ = ["draw", "grouped_folds", "hold_out"]


def grouped_folds(groups: Sequence[str], *, n_folds: int, seed: int = 0) -> list[int]:
    """Return the fold of each item; no group is in two folds, and folds are as even as possible.

    Groups are shuffled, then dealt from the largest on, each to the fold with the fewest items.

    Raises:
        InputError: if there are fewer groups than folds.
    """
    sizes = Counter(groups)
    if n_folds < 2 or len(sizes) < n_folds:
        raise InputError(
            f"{n_folds} folds need at least 2 folds and as many documents, "
            f"found {len(sizes)} documents"
        )
    names = _shuffled(groups, seed=seed)
    names.sort(key=lambda name: -sizes[name])
    filled = [0] * n_folds
    place = {}
    for name in names:
        place[name] = filled.index(min(filled))
        filled[place[name]] += sizes[name]
    return [place[group] for group in groups]


def hold_out(groups: Sequence[str], *, share: float, seed: int = 0) -> list[bool]:
    """Return True for each item that is held out: whole groups, at random, up to the share.

    At least one group is held out and at least one stays; of a single group nothing is held out.
    """
    sizes = Counter(groups)
    wanted = share * len(groups)
    taken: set[str] = set()
    n_taken = 0
    for name in _shuffled(groups, seed=seed)[: len(sizes) - 1]:
        if taken and n_taken + sizes[name] > wanted:
            continue
        taken.add(name)
        n_taken += sizes[name]
    return [group in taken for group in groups]


def draw(n_items: int, *, limit: int, seed: int) -> list[int]:
    """Return ``limit`` of ``n_items`` indices at random, in order.

    With the same seed a smaller draw is a subset of a larger one, so that a curve over sizes only
    adds items.

    Raises:
        InputError: if there are fewer items.
    """
    if not 0 < limit <= n_items:
        raise InputError(f"{limit} sentences cannot be drawn from a training part of {n_items}")
    return sorted(np.random.default_rng(seed).permutation(n_items)[:limit].tolist())


def _shuffled(groups: Sequence[str], *, seed: int) -> list[str]:
    names = sorted(set(groups))
    return [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
