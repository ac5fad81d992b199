"""``annotator experiment``: the protocols of the papers, over seeds and folds."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from annotator.cli.project import JsonOption, emit, note, progress_bar
from annotator.errors import ConfigError

__all__ = ["register"]

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
_Encoder = Annotated[str, typer.Option("--encoder", help="minilm, a local folder, or a hub id.")]
_Seeds = Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")]
_FirstSeed = Annotated[int, typer.Option("--first-seed", min=0, help="The first of them.")]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value: a setting of training or model; repeatable."),
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
_Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]


def experiment(
    name: _Name,
    data: _Data = None,
    train: _Train = None,
    dev: _Dev = None,
    test: _Test = None,
    fmt: _Format = None,
    encoder: _Encoder = "minilm",
    seeds: _Seeds = 1,
    first_seed: _FirstSeed = 0,
    set_: _Set = None,
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
    device: _Device = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train and score models as the papers did: their corpora, their splits, strict F1.

    May be killed at any time: the same command goes on where it was.

    Example: annotator experiment conll04 --data ./conll04 --seeds 3
    """
    which, n_folds = _parse_folds(folds, name)
    _run(
        name,
        sources={
            **{"data": data, "train": train, "dev": dev, "test": test},
            **{"format": fmt, "n_folds": n_folds, "group": group},
        },
        plan={
            **{"encoder": encoder, "seeds": tuple(range(first_seed, first_seed + seeds))},
            **{"folds": which, "on": on, "limit": limit, "fraction": fraction, "draws": draws},
            **{"calibrate": calibrate},
        },
        bench={
            **{"out": out or Path("experiments") / name, "n_workers": workers, "fresh": fresh},
            **{"keep_models": keep_models, "grid_seeds": grid_seeds},
        },
        texts=(set_ or [], grid or []),
        device=device,
        as_json=as_json,
    )


def _run(
    name: str,
    *,
    sources: dict[str, Any],
    plan: dict[str, Any],
    bench: dict[str, Any],
    texts: tuple[list[str], list[str]],
    device: str,
    as_json: bool,
) -> None:
    from annotator.experiments import (
        Bench,
        Plan,
        Report,
        Sources,
        parse_grid,
        parse_options,
        read_benchmark,
        run_experiment,
    )
    from annotator.model.device import pick_device

    options = parse_options(texts[0])
    grid = parse_grid(texts[1], options=options)
    planned = Plan(**plan, options=options, device=pick_device(device))
    benchmark = read_benchmark(name, Sources(**sources))
    with progress_bar(name) as advance:

        def show(report: Report) -> None:
            words = (
                f"{report.title} ({report.i_run + 1}/{report.n_runs}), epoch "
                f"{report.progress.epoch}/{report.progress.n_epochs}, "
                f"{report.progress.words_per_s:,.0f} words/s"
            )
            advance(report.n_done_steps, report.n_steps, words)

        value = run_experiment(
            benchmark,
            planned,
            grid=grid,
            bench=Bench(
                **bench,
                command=shlex.join(["annotator", *sys.argv[1:]]),
                on_progress=show,
                on_result=lambda run, result, is_old: note(
                    _describe(run.title, result, benchmark.headline, is_old=is_old)
                ),
            ),
        )
    _warn_of_other_code(value)
    emit(value, _lines(value, bench["out"]), as_json=as_json)


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
    """Return which folds, and how many there are where the protocol does not say."""
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


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiment")(experiment)
