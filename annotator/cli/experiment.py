"""``annotator experiment``: the protocols of the papers, over seeds and folds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from annotator.cli.options import (
    DeviceOption,
    EncoderOption,
    FirstSeedOption,
    JsonOption,
    SeedsOption,
    SetOption,
    pick,
)
from annotator.cli.progress import progress_bar
from annotator.cli.project import command_line, emit, note
from annotator.errors import ConfigError

if TYPE_CHECKING:
    from annotator.experiments import Benchmark, Plan

__all__ = ["experiment"]

_Name = Annotated[str, typer.Argument(help="conll04, ade, ade-mixed, i2b2, ace04, ace05 or jsonl.")]
_Data = Annotated[
    Path | None,
    typer.Option("--data", help="The folder of the corpus; jsonl: a file, with --folds."),
]
_Train = Annotated[Path | None, typer.Option("--train", help="jsonl: train on this file.")]
_Dev = Annotated[
    Path | None,
    typer.Option("--dev", help="jsonl: choose by this file [default: a tenth of --train]."),
]
_Test = Annotated[Path | None, typer.Option("--test", help="jsonl: score on this file.")]
_Format = Annotated[
    str | None, typer.Option("--format", help="The corpus's format, if not the usual one.")
]
_Grid = Annotated[
    list[str] | None,
    typer.Option("--grid", help="key=v1,v2: choose the best on the dev part; repeatable."),
]
_GridSeeds = Annotated[int, typer.Option("--grid-seeds", min=1, help="Seeds of each choice.")]
_Folds = Annotated[
    str | None,
    typer.Option("--folds", help="Which folds: 0,1,2; jsonl: how many: 5, or which: 0,1/5."),
]
_Group = Annotated[
    Literal["sentence", "pmid"],
    typer.Option("--group", help="ade: the papers' folds, or folds by abstract."),
]
_Fraction = Annotated[
    float | None, typer.Option("--fraction", help="Train on this share, drawn at random.")
]
_Limit = Annotated[
    int | None, typer.Option("--limit", help="Train on so many sentences, drawn at random.")
]
_Draws = Annotated[int, typer.Option("--draws", min=1, help="How many such draws.")]
_On = Annotated[
    Literal["dev", "test"],
    typer.Option("--on", help="test, or dev: train without it and score on it, to choose."),
]
_Calibrate = Annotated[
    bool, typer.Option("--calibrate", help="Fit temperatures and measure calibration.")
]
_Workers = Annotated[int, typer.Option("--workers", min=1, help="Runs at a time.")]
_KeepModels = Annotated[
    bool, typer.Option("--keep-models", help="Keep the checkpoints after scoring.")
]
_Fresh = Annotated[
    bool, typer.Option("--fresh", help="Do the runs again whose results are there already.")
]
_Out = Annotated[
    Path | None, typer.Option("--out", help="Where results go [default: experiments/NAME].")
]


def experiment(
    name: _Name,
    data: _Data = None,
    train: _Train = None,
    dev: _Dev = None,
    test: _Test = None,
    fmt: _Format = None,
    encoder: EncoderOption = "minilm",
    seeds: SeedsOption = 1,
    first_seed: FirstSeedOption = 0,
    set_: SetOption = None,
    grid: _Grid = None,
    grid_seeds: _GridSeeds = 1,
    folds: _Folds = None,
    group: _Group = "sentence",
    fraction: _Fraction = None,
    limit: _Limit = None,
    draws: _Draws = 1,
    on: _On = "test",
    calibrate: _Calibrate = False,
    workers: _Workers = 1,
    keep_models: _KeepModels = False,
    fresh: _Fresh = False,
    out: _Out = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train and score models as the papers did.

    Their corpora, their splits, strict F1.

    May be killed at any time: run it again to continue.

    Example: annotator experiment conll04 --data ./conll04 --seeds 3
    """
    given = locals()  # the options by their names
    value = _run(given)
    _warn_of_other_code(value)
    emit(value, _lines(value, _out(given)), as_json=as_json)


def _out(given: dict[str, Any]) -> Path:
    out: Path | None = given["out"]
    return out or Path("experiments") / given["name"]


def _read_benchmark(given: dict[str, Any]) -> Benchmark:
    from annotator.experiments import Sources, read_benchmark

    names = ("data", "train", "dev", "test", "group")
    _, n_folds = _parse_folds(given["folds"], given["name"])
    sources = Sources(**pick(given, names), format=given["fmt"], n_folds=n_folds)
    return read_benchmark(given["name"], sources)


def _read_plan(given: dict[str, Any]) -> Plan:
    from annotator.experiments import Plan, parse_options
    from annotator.model.device import pick_device

    names = ("encoder", "on", "limit", "fraction", "draws", "calibrate")
    which, _ = _parse_folds(given["folds"], given["name"])
    first = given["first_seed"]
    return Plan(
        **pick(given, names),
        seeds=tuple(range(first, first + given["seeds"])),
        folds=which,
        options=parse_options(given["set_"] or []),
        device=pick_device(given["device"]),
    )


def _run(given: dict[str, Any]) -> dict[str, Any]:
    from annotator.experiments import Bench, Report, parse_grid, run_experiment

    plan = _read_plan(given)
    grid = parse_grid(given["grid"] or [], options=plan.options)
    benchmark = _read_benchmark(given)
    with progress_bar(given["name"]) as advance:

        def show(report: Report) -> None:
            words = (
                f"{report.title} ({report.i_run + 1}/{report.n_runs}), epoch "
                f"{report.progress.epoch}/{report.progress.n_epochs}, "
                f"{report.progress.words_per_s:,.0f} words/s"
            )
            advance(report.n_done_steps, report.n_steps, words)

        return run_experiment(
            benchmark,
            plan,
            grid=grid,
            bench=Bench(
                **pick(given, ("fresh", "keep_models", "grid_seeds")),
                out=_out(given),
                n_workers=given["workers"],
                command=command_line(),
                on_progress=show,
                on_result=lambda run, result, is_old: note(
                    _describe(run.title, result, benchmark.headline, is_old=is_old)
                ),
            ),
        )


def _describe(title: str, result: dict[str, Any], headline: str, *, is_old: bool) -> str:
    ner, re = (result[layer][headline]["f1"] for layer in ("ner", "re"))
    when = "done before" if is_old else f"trained in {result['train_s']:.0f} s"
    return f"{title}: entities F1 {ner:.1f}, relations F1 {re:.1f} ({result['on']}; {when})"


def _warn_of_other_code(value: dict[str, Any]) -> None:
    here = value["versions"]
    n_other = sum(run["versions"] != here for run in value["runs"])
    if n_other:
        note(
            f"{n_other} of {len(value['runs'])} results were there already and are of another "
            "version of the program or its libraries; --fresh does them again"
        )


def _lines(value: dict[str, Any], out: Path) -> list[str]:
    mean, std = value["mean"], value["std"]
    lines = [
        f"{value['protocol']}, runs: {len(value['runs'])}, on {value['on']} "
        f"(strict, {value['headline']}; ± over {value['std_over']})"
    ]
    for row in value["grid"]:
        if row["chosen"]:
            lines.append("chosen: " + ", ".join(f"{k}={v}" for k, v in row["choice"].items()))
    for layer, title in (("ner", "entities"), ("re", "relations")):
        lines.append(
            f"{title:<10} P {mean[f'{layer}_p']:.1f}  R {mean[f'{layer}_r']:.1f}  "
            f"F1 {mean[f'{layer}_f1']:.1f} ± {std[f'{layer}_f1']:.1f}"
        )
    lines.append(f"{value['train_s']:.0f} s of training, {value['words_per_s']:,.0f} words/s")
    return [*lines, f"more in {out / 'results.md'}"]


def _parse_folds(text: str | None, name: str) -> tuple[tuple[int, ...] | None, int | None]:
    """Return the chosen folds, and their total number where the protocol does not fix it."""
    if text is None:
        return None, None
    which, slash, total = text.partition("/")
    if name == "jsonl" and not slash:
        which, total = "", text
    try:
        chosen = tuple(int(one) for one in which.split(",")) if which or not total else None
        return chosen, int(total) if slash or total else None
    except ValueError as error:
        raise ConfigError(
            f"--folds must name folds as 0,1,2, or for jsonl how many as 5 or 0,1/5, found {text!r}"
        ) from error
