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

_DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="The corpus: its folder, or a file with --folds (jsonl)."),
]


def experiment(
    name: Annotated[
        str, typer.Argument(help="conll04, ade, ade-mixed, i2b2, ace04, ace05 or jsonl.")
    ],
    data: _DataOption = None,
    train: Annotated[Path | None, typer.Option("--train", help="jsonl: train on this.")] = None,
    dev: Annotated[
        Path | None,
        typer.Option("--dev", help="jsonl: choose by this [default: a tenth of --train]."),
    ] = None,
    test: Annotated[Path | None, typer.Option("--test", help="jsonl: score on this.")] = None,
    fmt: Annotated[
        str | None, typer.Option("--format", help="Another format of the corpus.")
    ] = None,
    encoder: Annotated[
        str, typer.Option("--encoder", help="minilm, a local folder, or a hub id.")
    ] = "minilm",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")] = 1,
    first_seed: Annotated[int, typer.Option("--first-seed", min=0, help="The first seed.")] = 0,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value of training or model; repeatable."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option("--grid", help="key=v1,v2: choose by the dev part; repeatable."),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option("--folds", help="Which folds, as 0,1,2; jsonl: how many, as 5, or 0,1/5."),
    ] = None,
    group: Annotated[
        Literal["sentence", "pmid"],
        typer.Option("--group", help="ade: the papers' folds, or folds by abstract."),
    ] = "sentence",
    fraction: Annotated[
        float | None, typer.Option("--fraction", help="Train on this share, drawn at random.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Train on so many sentences, drawn at random.")
    ] = None,
    draws: Annotated[int, typer.Option("--draws", help="How many such draws.")] = 1,
    on: Annotated[
        Literal["dev", "test"], typer.Option("--on", help="Which part is scored.")
    ] = "test",
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit temperatures and measure calibration.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Runs at a time.")] = 1,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep the checkpoints after scoring.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Results [default: experiments/NAME].")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train and score models as a paper did: its corpus, its splits, strict F1.

    May be killed at any time: the same command goes on where it was. Results land in --out.

    Example: annotator experiment conll04 --data ./conll04 --seeds 3
    """
    from annotator.experiments import (
        Bench,
        Plan,
        Sources,
        parse_grid,
        parse_options,
        read_benchmark,
        run_experiment,
    )
    from annotator.model.device import pick_device

    which, n_folds = _parse_folds(folds, name)
    plan = Plan(
        encoder=encoder,
        device=pick_device(device),
        options=parse_options(set_ or []),
        seeds=tuple(range(first_seed, first_seed + seeds)),
        folds=which,
        on=on,
        limit=limit,
        fraction=fraction,
        draws=draws,
        calibrate=calibrate,
    )
    choices = parse_grid(grid or [])
    sources = Sources(
        data=data, train=train, dev=dev, test=test, format=fmt, n_folds=n_folds, group=group
    )
    benchmark = read_benchmark(name, sources)
    with progress_bar(name) as advance:
        value = run_experiment(
            benchmark,
            plan,
            grid=choices,
            bench=Bench(
                out=out or Path("experiments") / name,
                n_workers=workers,
                keep_models=keep_models,
                command=shlex.join(["annotator", *sys.argv[1:]]),
                on_progress=lambda report: advance(
                    report.n_done_steps,
                    report.n_steps,
                    f"{report.title} ({report.i_run + 1}/{report.n_runs}), "
                    f"epoch {report.progress.epoch}/{report.progress.n_epochs}, "
                    f"{report.progress.words_per_s:,.0f} words/s",
                ),
                on_result=lambda run, result, is_old: note(
                    _describe(run.title, result, benchmark.headline, is_old=is_old)
                ),
            ),
        )
    emit(value, _lines(value, out or Path("experiments") / name), as_json=as_json)


def _describe(title: str, result: dict[str, Any], headline: str, *, is_old: bool) -> str:
    ner, re = (result[layer][headline]["f1"] for layer in ("ner", "re"))
    when = "done before" if is_old else f"trained in {result['train_s']:.0f} s"
    return f"{title}: entities F1 {ner:.1f}, relations F1 {re:.1f} ({result['on']}; {when})"


def _lines(value: dict[str, Any], out: Path) -> list[str]:
    mean, std = value["mean"], value["std"]
    lines = [
        f"{value['protocol']}, {len(value['runs'])} runs on {value['on']} "
        f"(strict, {value['headline']}; ± over {value['std_over']})"
    ]
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
        chosen = tuple(int(one) for one in which.split(",")) if which else None
        return chosen, int(total) if total else None
    except ValueError as error:
        raise ConfigError(
            f"--folds must name folds as 0,1,2, or for jsonl how many as 5 or 0,1/5, found {text!r}"
        ) from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("experiment")(experiment)
