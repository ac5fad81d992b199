"""Experiments from end to end, with a tiny encoder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_corpora import make_record, write_ade, write_notes

from annotator.errors import ConfigError, TrainingError
from annotator.experiments import (
    Bench,
    Benchmark,
    Choice,
    Options,
    Plan,
    Sources,
    parse_options,
    plan_runs,
    read_benchmark,
    run_experiment,
)

pytestmark = pytest.mark.slow

SMALL = [
    *("epochs=1", "min_steps=2", "batch_size=4", "hidden=16", "width=8", "label_embedding=4"),
    *("encoder_lr=1e-3", "head_lr=1e-2"),
]


@pytest.fixture
def benchmark(tmp_path: Path) -> Benchmark:
    """Twelve training sentences, two to choose by, four to score."""
    train = write_notes(tmp_path / "train.jsonl", *map(make_record, range(7)))
    test = write_notes(tmp_path / "test.jsonl", *map(make_record, range(7, 9)))
    return read_benchmark("jsonl", Sources(train=train, test=test))


@pytest.fixture
def plan(tiny_encoder: Path) -> Plan:
    """One short run."""
    return Plan(encoder=str(tiny_encoder), options=parse_options(SMALL))


class Ledger:
    """Keeps what a bench tells of its runs."""

    def __init__(self, out: Path, **more: Any) -> None:
        self.told: list[tuple[str, bool]] = []
        self.titles: list[str] = []
        self.bench = Bench(
            out=out,
            on_result=lambda run, _result, old: self.told.append((run.title, old)),
            on_progress=lambda report: self.titles.append(report.title),
            **more,
        )


def scores(value: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What does not depend on the clock."""
    return [(r["name"], r["fold"], r["seed"], r["ner"], r["re"]) for r in value["runs"]]


def test_an_experiment_leaves_its_results_and_no_model(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    value = run_experiment(benchmark, plan, grid=[], bench=Bench(out=tmp_path / "out"))

    assert json.loads((tmp_path / "out" / "results.json").read_text()) == value
    assert (tmp_path / "out" / "results.md").read_text().startswith("# jsonl\n")
    assert not list((tmp_path / "out" / "models").iterdir())
    assert {
        *("runs", "mean", "std", "train_s", "words_per_s", "protocol", "encoder", "device"),
        *("versions", "threads", "seeds", "command", "date"),
    } <= set(value)


def test_a_run_tells_all_it_was_made_with(tmp_path: Path, benchmark: Benchmark, plan: Plan) -> None:
    value = run_experiment(benchmark, plan, grid=[], bench=Bench(out=tmp_path / "out"))

    (run,) = value["runs"]
    assert (run["n_train"], run["n_test"], run["n_steps"]) == (14, 4, 4)
    assert (run["settings"]["epochs"], run["options"]["width"]) == (1, 8)
    assert set(run["ner"]) == set(run["re"]) == {"micro", "macro", "types", "boundary"}
    assert run["versions"] == value["versions"]
    assert run["false_alarms"]["n_empty"] == 2
    assert "ece" not in run


def test_calibration_is_measured_before_and_after(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    asked = replace(plan, calibrate=True)

    value = run_experiment(benchmark, asked, grid=[], bench=Bench(out=tmp_path / "out"))

    (run,) = value["runs"]
    assert run["n_held"] == 2
    assert {when: set(run["ece"][when]) for when in run["ece"]} == {
        "before": {"ner", "re"},
        "after": {"ner", "re"},
    }
    assert run["calibration"]["fitted"] is True
    assert "ner_ece_after" in value["mean"]


def test_a_finished_run_is_not_done_again(tmp_path: Path, benchmark: Benchmark, plan: Plan) -> None:
    first = run_experiment(benchmark, plan, grid=[], bench=Bench(out=tmp_path / "out"))
    ledger = Ledger(tmp_path / "out")

    again = run_experiment(benchmark, replace(plan, seeds=(0, 1)), grid=[], bench=ledger.bench)

    assert ledger.told == [("jsonl seed 0", True), ("jsonl seed 1", False)]
    assert set(ledger.titles) == {"jsonl seed 1"}
    assert again["runs"][0] == first["runs"][0]


def test_a_damaged_file_of_a_run_is_done_again(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    first = run_experiment(benchmark, plan, grid=[], bench=Bench(out=tmp_path / "out"))
    (path,) = (tmp_path / "out" / "runs").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    ledger = Ledger(tmp_path / "out")

    again = run_experiment(benchmark, plan, grid=[], bench=ledger.bench)

    assert ledger.told == [("jsonl seed 0", False)]
    assert scores(again) == scores(first)


def test_what_a_killed_process_was_writing_aside_is_swept_up(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    (run,) = plan_runs(benchmark, plan)
    litter = [tmp_path / f"models/.{run.key}.partial.0a1b", tmp_path / f"runs/.{run.key}.json.0a1b"]
    litter[0].mkdir(parents=True)
    litter[1].parent.mkdir()
    litter[1].touch()

    run_experiment(benchmark, plan, grid=[], bench=Bench(out=tmp_path))

    assert not list((tmp_path / "models").iterdir())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"{run.key}.json"]


def test_a_fresh_experiment_does_all_again(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    kept = Bench(out=tmp_path / "out", keep_models=True)
    run_experiment(benchmark, plan, grid=[], bench=kept)
    ledger = Ledger(tmp_path / "out", fresh=True)

    run_experiment(benchmark, plan, grid=[], bench=ledger.bench)

    assert ledger.told == [("jsonl seed 0", False)]
    assert not list((tmp_path / "out" / "models").iterdir())


def test_a_kept_model_can_be_loaded(tmp_path: Path, benchmark: Benchmark, plan: Plan) -> None:
    from annotator.model import Predictor

    bench = Bench(out=tmp_path / "out", keep_models=True)

    run_experiment(benchmark, plan, grid=[], bench=bench)

    (folder,) = (tmp_path / "out" / "models").iterdir()
    assert Predictor.load(folder, device="cpu").model.config.width == 8


def test_a_grid_is_searched_on_dev_and_its_winner_run_on_test(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    grid: list[Choice] = [{"dropout": 0.0}, {"dropout": 0.5}]
    ledger = Ledger(tmp_path / "out", grid_seeds=2)

    value = run_experiment(benchmark, replace(plan, seeds=(3,)), grid=grid, bench=ledger.bench)

    done = [json.loads(path.read_text())["run"] for path in (tmp_path / "out/runs").iterdir()]
    assert sorted((run["on"], run["seed"]) for run in done) == [
        *[("dev", 3)] * 2,
        *[("dev", 4)] * 2,
        ("test", 3),
    ]
    best = max(value["grid"], key=lambda row: row["joint_f1"])
    assert [row["choice"] for row in value["grid"] if row["chosen"]] == [best["choice"]]
    assert value["runs"][0]["options"]["dropout"] == best["choice"]["dropout"]


def test_the_choice_with_the_best_mean_of_both_layers_wins(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    grid: list[Choice] = [{"epochs": 1}, {"epochs": 40}]

    value = run_experiment(benchmark, plan, grid=grid, bench=Bench(out=tmp_path / "out"))

    short, long = value["grid"]
    assert long["joint_f1"] > short["joint_f1"]
    assert (long["chosen"], short["chosen"]) == (True, False)
    assert value["options"]["epochs"] == 40


def test_two_workers_find_what_one_finds(tmp_path: Path, benchmark: Benchmark, plan: Plan) -> None:
    asked = replace(plan, seeds=(0, 1, 2))
    ledger = Ledger(tmp_path / "two", n_workers=2)

    one = run_experiment(benchmark, asked, grid=[], bench=Bench(out=tmp_path / "one"))
    two = run_experiment(benchmark, asked, grid=[], bench=ledger.bench)

    assert scores(one) == scores(two)
    assert [r["weights_sha256"] for r in one["runs"]] == [r["weights_sha256"] for r in two["runs"]]
    assert set(ledger.titles) == {"jsonl seed 0", "jsonl seed 1", "jsonl seed 2"}


def test_an_error_in_a_worker_is_the_error_of_the_experiment(
    tmp_path: Path, benchmark: Benchmark, plan: Plan
) -> None:
    asked = replace(plan, seeds=(0, 1), options=parse_options([*SMALL[:-1], "head_lr=1e30"]))

    with pytest.raises(TrainingError, match="the loss is"):
        run_experiment(benchmark, asked, grid=[], bench=Bench(out=tmp_path / "out", n_workers=2))


def test_mixed_ade_reports_false_alarms(tmp_path: Path, plan: Plan) -> None:
    benchmark = read_benchmark("ade-mixed", Sources(data=write_ade(tmp_path / "ade")))

    value = run_experiment(
        benchmark, replace(plan, folds=(0, 1)), grid=[], bench=Bench(out=tmp_path / "out")
    )

    assert [run["fold"] for run in value["runs"]] == [0, 1]
    assert {"n_empty", "entities", "relations", "sentences"} == set(
        value["runs"][0]["false_alarms"]
    )
    assert value["mean"]["ner_f1"] == value["mean"]["ner_macro_f1"]


@pytest.mark.parametrize("given", [{"n_workers": 0}, {"grid_seeds": 0}], ids=str)
def test_a_bench_without_workers_or_seeds_is_refused(tmp_path: Path, given: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="must be at least 1, found 0"):
        Bench(out=tmp_path, **given)


def test_options_without_any_are_the_defaults() -> None:
    assert Options().settings(seed=0).epochs == 12
