"""Which runs an experiment is made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_corpora import make_record, write_notes

from annotator.errors import ConfigError, InputError
from annotator.experiments import (
    Benchmark,
    Fold,
    Options,
    Plan,
    Sources,
    parse_options,
    plan_runs,
    read_benchmark,
)


@pytest.fixture
def folded(tmp_path: Path) -> Benchmark:
    """Forty documents of two sentences in four folds."""
    notes = write_notes(tmp_path / "notes.jsonl", *map(make_record, range(40)))
    return read_benchmark("jsonl", Sources(data=notes, n_folds=4))


@pytest.fixture
def divided(folded: Benchmark) -> Benchmark:
    """The same, divided once, its dev part not to be trained on."""
    return replace(folded, folds=(replace(folded.folds[0], index=None),), trains_on_dev=False)


def test_runs_are_folds_by_draws_by_seeds(folded: Benchmark) -> None:
    plan = Plan(seeds=(3, 4), folds=(0, 2), limit=5, draws=2)

    runs = plan_runs(folded, plan)

    assert [(run.fold, run.draw, run.settings.seed) for run in runs] == [
        (fold, draw, seed) for fold in (0, 2) for draw in (0, 1) for seed in (3, 4)
    ]
    assert len({run.fingerprint for run in runs}) == len({run.key for run in runs}) == 8


@pytest.mark.parametrize(
    ("on", "trains_on_dev", "sizes"),
    [
        ("test", True, (60, 0, 20)),
        ("test", False, (54, 0, 20)),
        ("dev", True, (54, 0, 6)),
        ("dev", False, (54, 0, 6)),
    ],
)
def test_dev_is_trained_on_only_for_test_and_only_where_the_protocol_says(
    folded: Benchmark, on: Any, trains_on_dev: bool, sizes: tuple[int, int, int]
) -> None:
    benchmark = replace(folded, trains_on_dev=trains_on_dev)

    run = plan_runs(benchmark, Plan(on=on))[0]

    assert (len(run.train), len(run.held), len(run.scored)) == sizes


@pytest.mark.parametrize("on", ["dev", "test"])
@pytest.mark.parametrize("trains_on_dev", [True, False])
@pytest.mark.parametrize("limit", [None, 30])
def test_nothing_that_is_scored_was_trained_on_or_held_out(
    folded: Benchmark, on: Any, trains_on_dev: bool, limit: int | None
) -> None:
    benchmark = replace(folded, trains_on_dev=trains_on_dev)

    runs = plan_runs(benchmark, Plan(on=on, calibrate=True, limit=limit))

    assert all(run.held for run in runs)
    assert not any({*run.train} & {*run.held} for run in runs)
    assert not any({*run.train, *run.held} & {*run.scored} for run in runs)


def test_a_tenth_is_held_out_for_temperatures_in_whole_documents(folded: Benchmark) -> None:
    run = plan_runs(folded, Plan(calibrate=True))[0]

    assert (len(run.train), len(run.held)) == (54, 6)
    assert not {s.group for s in run.train} & {s.group for s in run.held}


def test_temperatures_are_fitted_on_a_dev_part_that_is_not_trained_on(divided: Benchmark) -> None:
    run = plan_runs(divided, Plan(calibrate=True))[0]

    assert run.held == divided.folds[0].dev
    assert run.train == divided.folds[0].train


@pytest.mark.parametrize(
    ("given", "n_train"), [({"limit": 7}, 7), ({"fraction": 0.1}, 6), ({"fraction": 1e-9}, 1)]
)
def test_a_draw_has_the_size_that_was_asked_for(
    folded: Benchmark, given: dict[str, Any], n_train: int
) -> None:
    run = plan_runs(folded, Plan(**given))[0]

    assert len(run.train) == n_train


def test_the_schema_is_that_of_the_training_part_and_not_of_the_draw(folded: Benchmark) -> None:
    run = plan_runs(folded, Plan(limit=1))[0]

    assert run.schema.entity_types == ("Drug", "Effect")
    assert run.schema.pairs == {("causes", "Drug", "Effect")}


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": (1,)},
        {"options": parse_options(["epochs=3"])},
        {"options": parse_options(["bilinear=false"])},
        {"encoder": "other"},
        {"on": "dev"},
        {"limit": 5},
        {"calibrate": True},
        {"device": "cuda"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_fingerprint_changes_with_what_the_result_follows_from(
    divided: Benchmark, change: dict[str, Any]
) -> None:
    before = plan_runs(divided, Plan())[0]

    after = plan_runs(divided, Plan(**change))[0]

    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_fingerprint_changes_with_the_data(divided: Benchmark, part: str) -> None:
    fold = divided.folds[0]
    shorter: dict[str, Any] = {part: getattr(fold, part)[1:]}
    changed = replace(divided, folds=(replace(fold, **shorter),))

    before, after = (plan_runs(benchmark, Plan())[0] for benchmark in (divided, changed))

    assert before.fingerprint != after.fingerprint


def test_a_fingerprint_is_the_same_on_each_gpu_of_a_machine(divided: Benchmark) -> None:
    first, second = (plan_runs(divided, Plan(device=name))[0] for name in ("cuda:0", "cuda:1"))

    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"seeds": ()}, "at least one seed"),
        ({"limit": 5, "fraction": 0.5}, "either --limit or --fraction"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"fraction": 0.0}, "--fraction must be above 0"),
        ({"fraction": 1.5}, "at most 1, found 1.5"),
        ({"limit": 5, "draws": 0}, "--draws must be at least 1"),
        ({"draws": 2}, "--draws needs --limit or --fraction"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Plan(**given)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"folds": (4,)}, "jsonl has no fold 4; there is 0 to 3"),
        ({"options": Options(training={"epochs": 0})}, "epochs must be at least 1"),
        ({"options": Options(model={"width": 0})}, "width must be at least 1"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused(
    folded: Benchmark, given: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        plan_runs(folded, Plan(**given))


def test_folds_of_a_single_division_are_refused(divided: Benchmark) -> None:
    with pytest.raises(ConfigError, match="no fold 0; there is only one division"):
        plan_runs(divided, Plan(folds=(0,)))


@pytest.mark.parametrize(
    ("on", "part"), [("dev", "dev"), ("test", "test"), ("test", "train")], ids=str
)
def test_an_empty_part_is_named(divided: Benchmark, on: Any, part: str) -> None:
    empty: dict[str, Any] = {part: ()}
    benchmark = replace(divided, folds=(replace(divided.folds[0], **empty),))

    with pytest.raises(InputError, match=f"the {part}.* part of jsonl has no sentence"):
        plan_runs(benchmark, Plan(on=on))


def test_too_little_to_hold_out_is_told(divided: Benchmark) -> None:
    one = divided.folds[0].train[:1]
    fold = Fold(train=one, dev=one, test=divided.folds[0].test)
    benchmark = replace(divided, folds=(fold,), trains_on_dev=True)

    with pytest.raises(InputError, match="leave --calibrate out"):
        plan_runs(benchmark, Plan(calibrate=True))
