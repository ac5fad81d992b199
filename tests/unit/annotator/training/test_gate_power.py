"""How often the gate promotes a model of known gain; the tables are ``python -m tests.power``."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from power.__main__ import GAINS, TRIALS
from power.population import Population
from power.trials import Cell, promoted

DOC = Path(__file__).parents[4] / "docs" / "explanation" / "measuring.md"


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(1_500, seed=11)


def published() -> dict[float, list[int]]:
    """The table of the page: by true gain, how many per cent are promoted on each hold-out."""
    lines = DOC.read_text(encoding="utf-8").splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("| true gain | "))
    assert [cell.split()[0] for cell in lines[head].split("|")[2:-1]] == [f"{n:,}" for n in TRIALS]
    rows = [line.split("|")[1:-1] for line in lines[head + 2 : head + 2 + len(GAINS)]]
    return {float(row[0]): [int(c.split("→")[1].strip(" %")) for c in row[1:]] for row in rows}


@pytest.mark.parametrize(
    ("gain", "n_sentences", "n_trials", "least", "most"),
    [
        (4, 70, 300, 0.80, 1.00),
        (2, 300, 200, 0.85, 1.00),
        (-3, 70, 400, 0.00, 0.12),
        (-2, 300, 250, 0.00, 0.06),
    ],
    ids=["+4 on 70", "+2 on 300", "-3 on 70", "-2 on 300"],
)
def test_better_models_pass_and_worse_ones_do_not(
    population: Population,
    gain: float,
    n_sentences: int,
    n_trials: int,
    least: float,
    most: float,
) -> None:
    cell = Cell(gain=gain, n_sentences=n_sentences, n_trials=n_trials, n_resamples=250)

    share = promoted(population, cell, before=False).now

    assert least <= share <= most
    told = published()[gain][list(TRIALS).index(n_sentences)] / 100
    assert share == pytest.approx(told, abs=0.08)  # the noise of both


def test_the_page_has_a_row_for_each_gain_and_more_pass_with_each() -> None:
    table = published()

    assert tuple(table) == GAINS
    for column in zip(*table.values(), strict=True):
        assert all(after > before - 8 for before, after in pairwise(column))
