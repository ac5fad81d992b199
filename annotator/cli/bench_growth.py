"""``annotator bench growth``: warm starts against training anew, while labels grow."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from annotator.cli.project import JsonOption, emit, progress_bar
from annotator.errors import ConfigError

__all__ = ["growth"]


def growth(
    data: Annotated[Path, typer.Option("--data", help="Folder of the ADE corpus.")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for models and rows; a run goes on from it.")
    ],
    sizes: Annotated[
        str, typer.Option("--sizes", help="Gold sentences of one run after the other.")
    ] = "300,600,1200",
    fold: Annotated[
        int, typer.Option("--fold", min=0, help="Fold of the corpus; its dev part is scored.")
    ] = 0,
    keep: Annotated[
        float, typer.Option("--keep", help="Share of the old weights that a warm start keeps.")
    ] = 0.5,
    share: Annotated[
        float, typer.Option("--share", help="Share of the steps that a short run takes.")
    ] = 0.33,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Epochs of a whole run.")] = 12,
    min_steps: Annotated[
        int, typer.Option("--min-steps", min=0, help="Least steps of a whole run.")
    ] = 600,
    encoder: Annotated[
        str, typer.Option("--encoder", help="minilm, a local folder, or a hub id.")
    ] = "minilm",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw and of each run.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1.")] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure what starting from the version before is worth, in F1 and in seconds.

    Takes an hour or so on a laptop with the default sizes. Needs no project.

    Example: annotator bench growth --data ade --out growth --json
    """
    from annotator.bench.growth import GrowthPlan, bench_growth
    from annotator.experiments import Sources, read_benchmark
    from annotator.model.device import pick_device

    try:
        counts = tuple(int(size) for size in sizes.split(","))
    except ValueError:
        raise ConfigError(f"--sizes needs whole numbers such as 300,600, found {sizes}") from None
    plan = GrowthPlan(
        sizes=counts,
        fold=fold,
        keep=keep,
        share=share,
        epochs=epochs,
        min_steps=min_steps,
        encoder=encoder,
        seed=seed,
        device=pick_device(device),
    )
    with progress_bar("bench") as advance:
        value = bench_growth(
            read_benchmark("ade", Sources(data=data)),
            plan,
            out=out,
            report=lambda what, done, total: advance(done, total, what),
        )
    value["command"] = shlex.join(["annotator", *sys.argv[1:]])
    lines = [
        f"{row['n_sentences']:>6}  {row['variant']:<20} {row['n_steps']:>5} steps "
        f"{row['train_cpu_s']:>7.0f} s   entities {row['ner_macro_f1']:5.1f}   "
        f"relations {row['re_f1']:5.1f}"
        for row in value["rows"]
    ]
    emit(value, lines, as_json=as_json)
