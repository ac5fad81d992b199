"""Experiments: the protocols of the papers, run over seeds and folds, resumable at any time."""

from annotator.experiments.experiment import Bench, run_experiment
from annotator.experiments.options import Choice, Options, option_keys, parse_grid, parse_options
from annotator.experiments.parallel_runs import Report
from annotator.experiments.planned_runs import Plan, PlannedRun, plan_runs
from annotator.experiments.protocols import PROTOCOLS, Benchmark, Fold, Sources, read_benchmark

__all__ = [
    "PROTOCOLS",
    "Bench",
    "Benchmark",
    "Choice",
    "Fold",
    "Options",
    "Plan",
    "PlannedRun",
    "Report",
    "Sources",
    "option_keys",
    "parse_grid",
    "parse_options",
    "plan_runs",
    "read_benchmark",
    "run_experiment",
]
