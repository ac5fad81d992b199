"""Print how often the gate promotes: ``python -m tests.power``; ten minutes.

The tables are those of ``docs/explanation/measuring.md``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from power.population import Population
from power.trials import Cell, promoted, promoted_in_tries

GAINS = (-3, -2, -1, 0, 1, 2, 3, 4)
TRIALS = {70: 800, 150: 500, 300: 350, 1_000: 150}  # by sentences of the hold-out
FOUND = ((1.8, 70, 0.12), (4.0, 70, 0.45), (1.1, 300, 0.38), (1.0, 1_000, 0.67))
TRIES = ((-3, 70), (0, 70), (2, 70), (-2, 300), (0, 300), (1, 300))


def row(*cells: str | float) -> str:
    """Return a row of a table; numbers are shares."""
    shown = [c if isinstance(c, str) else f"{100 * c:.0f} %" for c in cells]
    return f"| {' | '.join(shown)} |"


def lines() -> Iterator[str]:
    """Yield the lines of the three tables, in Markdown."""
    population = Population(3_000, seed=7)

    def cell(gain: float, size: int, *, part: int = 1) -> Cell:
        return Cell(gain=gain, n_sentences=size, n_trials=TRIALS[size] // part)

    yield row("true gain", *(f"{size:,} sentences" for size in TRIALS))
    yield row(*["---"] * (1 + len(TRIALS)))
    for gain in GAINS:
        shares = [promoted(population, cell(gain, size)) for size in TRIALS]
        yield row(f"{gain:+d}", *(f"{100 * s.before:.0f} → {100 * s.now:.0f} %" for s in shares))
    yield ""
    yield row("true gain, sentences", "found", "here", "of what passes, a type holds")
    yield row(*["---"] * 4)
    for true_gain, size, found in FOUND:
        share = promoted(population, cell(true_gain, size))
        yield row(f"{true_gain:+.1f}, {size:,}", found, share.before, share.held_by_type)
    yield ""
    yield row("true gain, sentences", "one try", "five, each by itself", "five, together")
    yield row(*["---"] * 4)
    many = Population(1_500, seed=7, n_models=6)
    for gain, size in TRIES:
        yield row(f"{gain:+d}, {size}", *promoted_in_tries(many, cell(gain, size, part=2)))


def main() -> None:
    """Print the tables."""
    for line in lines():
        print(line, flush=True)


if __name__ == "__main__":
    main()
