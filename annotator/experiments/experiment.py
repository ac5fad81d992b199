"""An experiment from end to end: choose by the dev part if asked, run, sum up, write down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotator.errors import ConfigError
from annotator.experiments.options import Choice
from annotator.experiments.plan import Plan, PlannedRun, plan_runs
from annotator.experiments.pool import Report, do_runs, threads_each
from annotator.experiments.protocols import Benchmark
from annotator.experiments.record import write_atomically
from annotator.experiments.run import finished_run, versions
from annotator.experiments.summary import joint_f1, summarise, table

__all__ = ["Bench", "run_experiment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where and how runs are done.

    Attributes:
        out: The folder of results.
        n_workers: Runs at a time.
        keep_models: Whether checkpoints stay after scoring.
        command: What was asked, for the record.
        on_progress: Told after each step or so.
        on_result: Told of each run and whether its result was there before.
    """

    out: Path
    n_workers: int = 1
    keep_models: bool = False
    command: str = ""
    on_progress: Callable[[Report], None] = lambda _report: None
    on_result: Callable[[PlannedRun, dict[str, Any], bool], None] = lambda _run, _result, _old: None

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise ConfigError(f"--workers must be at least 1, found {self.n_workers}")

    def results(self, runs: Sequence[PlannedRun]) -> list[dict[str, Any]]:
        """Return the results of ``runs`` in their order; those found on disk are not redone."""
        found: dict[str, dict[str, Any]] = {}
        for run in runs:
            result = finished_run(self.out, run)
            if result is not None:
                found[run.fingerprint] = result
                self.on_result(run, result, True)

        def keep(run: PlannedRun, result: dict[str, Any]) -> None:
            found[run.fingerprint] = result
            self.on_result(run, result, False)

        do_runs(
            [run for run in runs if run.fingerprint not in found],
            out=self.out,
            keep_models=self.keep_models,
            n_workers=self.n_workers,
            on_progress=self.on_progress,
            on_result=keep,
        )
        return [found[run.fingerprint] for run in runs]


def run_experiment(
    benchmark: Benchmark, plan: Plan, *, grid: Sequence[Choice], bench: Bench
) -> dict[str, Any]:
    """Run ``plan`` on ``benchmark`` and write ``results.json`` and ``results.md``.

    With a ``grid`` each choice is first scored on the dev part, with the first seed, draw and
    fold; the one with the best mean of entity and relation F1 is then run.

    Returns:
        What ``results.json`` holds.
    """
    searched: list[dict[str, Any]] = []
    if grid:
        best, searched = _search(benchmark, plan, grid, bench)
        plan = replace(plan, options=plan.options.replace(best))
    results = bench.results(plan_runs(benchmark, plan))
    value = {
        "protocol": benchmark.name,
        "headline": benchmark.headline,
        "on": plan.on,
        "runs": results,
        **summarise(results, headline=benchmark.headline),
        "grid": searched,
        "encoder": plan.encoder,
        "device": plan.device,
        "seeds": list(plan.seeds),
        "left_out": dict(benchmark.left_out),
        "versions": versions(),
        "threads": threads_each(bench.n_workers),
        "workers": bench.n_workers,
        "command": bench.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_atomically(bench.out / "results.json", json.dumps(value, indent=1) + "\n")
    write_atomically(bench.out / "results.md", table(value))
    return value


def _search(
    benchmark: Benchmark, plan: Plan, grid: Sequence[Choice], bench: Bench
) -> tuple[Choice, list[dict[str, Any]]]:
    first = benchmark.folds[0].index if plan.folds is None else plan.folds[0]
    small = replace(
        plan, on="dev", seeds=plan.seeds[:1], draws=1, folds=None if first is None else (first,)
    )
    plans = [replace(small, options=plan.options.replace(choice)) for choice in grid]
    runs = [run for one in plans for run in plan_runs(benchmark, one)]
    scored = bench.results(runs)
    joint = [joint_f1(result, headline=benchmark.headline) for result in scored]
    best = joint.index(max(joint))
    rows = [
        {
            "choice": dict(choice),
            "ner_f1": result["ner"][benchmark.headline]["f1"],
            "re_f1": result["re"][benchmark.headline]["f1"],
            "joint_f1": round(joint[i], 4),
            "train_s": result["train_s"],
            "chosen": i == best,
        }
        for i, (choice, result) in enumerate(zip(grid, scored, strict=True))
    ]
    return grid[best], rows
