"""The first sentences before any model."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.active.spread import spread_order


@pytest.fixture
def clumps(rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """A hundred rows in one clump, and five in each of three others."""
    centres = np.repeat(np.eye(4) * 10, [100, 5, 5, 5], axis=0)
    return centres + rng.normal(scale=0.1, size=centres.shape)


def test_each_clump_is_seen_before_one_is_seen_again(
    clumps: np.ndarray,  # type: ignore[type-arg]
) -> None:
    order = spread_order(clumps, 4, rng=np.random.default_rng(0))

    assert {int(clumps[i].argmax()) for i in order[:4]} == {0, 1, 2, 3}


def test_all_rows_come_once_and_another_seed_is_another_order(
    clumps: np.ndarray,  # type: ignore[type-arg]
) -> None:
    first, again, other = (
        spread_order(clumps, 20, rng=np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)
    )

    assert sorted(first) == list(range(115))
    assert first == again
    assert first != other


def test_the_middle_of_a_clump_comes_before_its_edge(rng: np.random.Generator) -> None:
    ring = np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0, 6, 12)])
    rows = np.concatenate([ring, [[0.0, 0.0]]])

    assert spread_order(rows, 1, rng=rng)[0] == 12


@pytest.mark.parametrize("n_rows", [0, 1, 3], ids=["none", "one", "three"])
def test_few_rows_or_equal_ones_are_ordered(n_rows: int, rng: np.random.Generator) -> None:
    order = spread_order(np.ones((n_rows, 4)), 5, rng=rng)

    assert sorted(order.tolist()) == list(range(n_rows))
