"""An experiment from end to end: choose on the dev part if asked, run, summarise, write."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from annotator.errors import ConfigError
from annotator.experiments.options import Choice
from annotator.experiments.parallel_runs import Report, do_runs, threads_each
from annotator.experiments.planned_runs import Plan, PlannedRun, plan_runs
from annotator.experiments.protocols import Benchmark, Headline
from annotator.experiments.record import hold_folder, write_atomically
from annotator.experiments.run import finished_run, forget_run, versions
from annotator.experiments.summary import summarise, table

__all__ = ["Bench", "run_experiment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where and how runs are done.

    Attributes:
        out: The folder of results.
        n_workers: Runs at a time.
        keep_models: Whether checkpoints stay after scoring.
        fresh: Whether to redo runs that already have results.
        grid_seeds: Seeds per choice in a grid search.
        command: The command line, for the record.
        on_progress: Called about once a step.
        on_result: Called with each run, its result, and whether that existed before.
    """

    out: Path
    n_workers: int = 1
    keep_models: bool = False
    fresh: bool = False
    grid_seeds: int = 1
    command: str = ""
    on_progress: Callable[[Report], None] = lambda _report: None
    on_result: Callable[[PlannedRun, dict[str, Any], bool], None] = lambda _run, _result, _old: None

    def __post_init__(self) -> None:
        if self.n_workers < 1:
            raise ConfigError(f"--workers must be at least 1, found {self.n_workers}")
        if self.grid_seeds < 1:
            raise ConfigError(f"--grid-seeds must be at least 1, found {self.grid_seeds}")

    def results(self, runs: Sequence[PlannedRun]) -> list[dict[str, Any]]:
        """Return the results of ``runs`` in their order; those found on disk are not redone."""
        found: dict[str, dict[str, Any]] = {}
        for run in runs:
            if self.fresh:
                forget_run(self.out, run)
            result = finished_run(self.out, run)
            if result is not None:
                found[run.fingerprint] = result
                self.on_result(run, result, True)

        def keep(run: PlannedRun, result: dict[str, Any]) -> None:
            found[run.fingerprint] = result
            self.on_result(run, result, False)

        left = {run.fingerprint: run for run in runs if run.fingerprint not in found}
        do_runs(
            list(left.values()),
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

    With a ``grid`` each choice is first scored on the dev part, with the first seeds, draw and
    fold; the one with the best mean of entity and relation F1 is then run. Returns what
    ``results.json`` holds.

    Raises:
        ConflictError: if another experiment is running in the folder.
    """
    with hold_folder(bench.out):
        searched: list[dict[str, Any]] = []
        if grid:
            best, searched = _search(benchmark, plan, grid, bench)
            plan = replace(plan, options=plan.options.with_choice(best))
        results = bench.results(plan_runs(benchmark, plan))
        value = _describe(benchmark, plan, results, searched, bench)
        write_atomically(bench.out / "results.json", json.dumps(value, indent=1) + "\n")
        write_atomically(bench.out / "results.md", table(value))
    return value


def _describe(
    benchmark: Benchmark,
    plan: Plan,
    results: list[dict[str, Any]],
    searched: list[dict[str, Any]],
    bench: Bench,
) -> dict[str, Any]:
    return {
        "protocol": benchmark.name,
        "headline": benchmark.headline,
        "on": plan.on,
        "runs": results,
        **summarise(results, headline=benchmark.headline),
        "grid": searched,
        "encoder": plan.encoder,
        "device": plan.device,
        "options": {**plan.options.training, **plan.options.model},
        "seeds": list(plan.seeds),
        "left_out": dict(benchmark.left_out),
        "versions": versions(),
        "threads": threads_each(bench.n_workers),
        "workers": bench.n_workers,
        "command": bench.command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _search(
    benchmark: Benchmark, plan: Plan, grid: Sequence[Choice], bench: Bench
) -> tuple[Choice, list[dict[str, Any]]]:
    first = benchmark.folds[0].index if plan.folds is None else min(plan.folds)
    small = replace(
        plan,
        on="dev",
        seeds=tuple(range(plan.seeds[0], plan.seeds[0] + bench.grid_seeds)),
        draws=1,
        folds=None if first is None else (first,),
    )
    plans = [replace(small, options=plan.options.with_choice(choice)) for choice in grid]
    scored = bench.results([run for one in plans for run in plan_runs(benchmark, one)])
    rows = [
        _row(
            choice, scored[i * bench.grid_seeds :][: bench.grid_seeds], headline=benchmark.headline
        )
        for i, choice in enumerate(grid)
    ]
    best = max(range(len(rows)), key=lambda i: rows[i]["joint_f1"])
    rows[best]["chosen"] = True
    return grid[best], rows


def _row(choice: Choice, results: list[dict[str, Any]], *, headline: Headline) -> dict[str, Any]:
    summary = summarise(results, headline=headline)
    ner, re = summary["mean"]["ner_f1"], summary["mean"]["re_f1"]
    return {
        "choice": dict(choice),
        "ner_f1": ner,
        "re_f1": re,
        "joint_f1": round((ner + re) / 2, 4),
        "train_s": summary["train_s"],
        "chosen": False,
    }
