from __future__ import annotations

import pytest
import torch

from annotator.bench.clock import median_ratio, race


def test_contestants_take_turns_and_the_first_round_is_not_timed() -> None:
    order: list[str] = []
    reports: list[tuple[int, int]] = []
    contestants = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}

    seconds = race(
        contestants,
        n_rounds=2,
        device=torch.device("cpu"),
        report=lambda _, done, total: reports.append((done, total)),
    )

    assert order == ["a", "b", "a", "b", "a", "b"]
    assert {name: len(found) for name, found in seconds.items()} == {"a": 2, "b": 2}
    assert reports[-1] == (3, 3)


def test_ratio_compares_what_ran_side_by_side() -> None:
    assert median_ratio([1.0, 8.0, 2.0], [2.0, 16.0, 4.0]) == pytest.approx(0.5)
