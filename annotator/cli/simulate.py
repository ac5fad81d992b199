"""``annotator simulate``: what each strategy would have cost on a corpus of known labels."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from annotator.cli.project import JsonOption, emit, note, progress_bar
from annotator.errors import ConfigError
from annotator.settings import Settings

__all__ = ["register"]

_FOLDS = 5  # of a single file

_Name = Annotated[str, typer.Argument(help="A corpus, by the names of `annotator experiment`.")]
_Data = Annotated[
    Path | None, typer.Option("--data", help="The folder of the corpus; jsonl: a file, in 5 folds.")
]
_Train = Annotated[Path | None, typer.Option("--train", help="jsonl: the pool.")]
_Test = Annotated[Path | None, typer.Option("--test", help="jsonl: score on this file.")]
_Format = Annotated[
    str | None, typer.Option("--format", help="The corpus's format, if not the usual one.")
]
_Negatives = Annotated[
    float, typer.Option("--negatives", help="ade-mixed: sentences without labels for each with.")
]
_Fold = Annotated[int, typer.Option("--fold", min=0, help="Which fold, where there are several.")]
_Limit = Annotated[
    int | None, typer.Option("--limit", min=2, help="A pool of so many sentences, at random.")
]
_Strategy = Annotated[
    list[str] | None,
    typer.Option(
        "--strategy",
        "-s",
        help="A strategy, or STRATEGY+diverse for the queue's batch step; repeatable "
        "[default: mnlp+diverse, as the queue]. random is always run.",
    ),
]
_Seeds = Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")]
_FirstSeed = Annotated[int, typer.Option("--first-seed", min=0, help="The first of them.")]
_Shares = Annotated[
    str | None,
    typer.Option("--shares", help="Share of the pool's words labelled after each round."),
]
_StartOption = Annotated[
    Literal["random", "diverse"],
    typer.Option("--start", help="The first labels: at random, or spread over the embeddings."),
]
_RandomShare = Annotated[
    float, typer.Option("--random-share", help="Share of each round drawn at random.")
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value: a setting of training or model; repeatable."),
]
_On = Annotated[Literal["dev", "test"], typer.Option("--on", help="Which part is scored.")]
_Encoder = Annotated[str, typer.Option("--encoder", help="minilm, a local folder, or a hub id.")]
_Out = Annotated[
    Path | None, typer.Option("--out", help="Where results go [default: simulations/NAME].")
]
_Archive = Annotated[
    Path | None,
    typer.Option("--archive", help="Take up the records in this file, and keep it up to date."),
]
_Plot = Annotated[
    Path | None, typer.Option("--plot", help="Draw the curves into this .png or .html file.")
]
_Summary = Annotated[
    Path | None, typer.Option("--summary", help="Put the ratios to random order into this file.")
]
_Cost = Annotated[
    str | None,
    typer.Option("--cost", help="Seconds a sentence, word, entity, relation: 2,0.3,3,4."),
]
_Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]


def simulate(
    name: _Name,
    data: _Data = None,
    train: _Train = None,
    test: _Test = None,
    fmt: _Format = None,
    negatives: _Negatives = 1.0,
    fold: _Fold = 0,
    limit: _Limit = None,
    strategy: _Strategy = None,
    seeds: _Seeds = 3,
    first_seed: _FirstSeed = 0,
    shares: _Shares = None,
    start: _StartOption = "random",
    random_share: _RandomShare = 0.15,
    set_: _Set = None,
    on: _On = "test",
    encoder: _Encoder = "minilm",
    out: _Out = None,
    archive: _Archive = None,
    plot: _Plot = None,
    summary: _Summary = None,
    cost: _Cost = None,
    device: _Device = "auto",
    as_json: JsonOption = False,
) -> None:
    """Replay a gold corpus: what would each strategy have cost, against random order?

    May be killed at any time: the same command goes on where it was, and several at once share
    the work.

    Example: annotator simulate conll04 --data ./conll04 -s mnlp -s joint_rate --seeds 3
    """
    _run(
        name,
        sources={
            **{"data": data, "train": train, "test": test, "format": fmt, "negatives": negatives},
            "n_folds": _FOLDS if name == "jsonl" and data is not None else None,
        },
        corpus={"fold": fold, "on": on, "limit": limit},
        replay={
            **({"shares": _parse_shares(shares)} if shares else {}),
            **{"start": start, "random_share": random_share, "encoder": encoder, "on": on},
        },
        texts=(set_ or [], strategy or []),
        seeds=range(first_seed, first_seed + seeds),
        places=(out or Path("simulations") / name, archive, plot, summary),
        cost=_parse_cost(cost),
        device=device,
        as_json=as_json,
    )


def _run(
    name: str,
    *,
    sources: dict[str, Any],
    corpus: dict[str, Any],
    replay: dict[str, Any],
    texts: tuple[list[str], list[str]],
    seeds: range,
    places: tuple[Path, Path | None, Path | None, Path | None],
    cost: dict[str, float],
    device: str,
    as_json: bool,
) -> None:
    from annotator.active.cost import AnnotationCost
    from annotator.experiments import Sources, parse_options, read_benchmark
    from annotator.experiments.record import write_atomically
    from annotator.model.device import pick_device
    from annotator.simulation import (
        Replay,
        Report,
        SimulatedCorpus,
        Simulation,
        describe_simulation,
        draw_chart,
        put_summary,
        queue_arm,
        read_arms,
        table,
    )
    from annotator.views import check_suffix, write_chart

    out, archive, plot, summary = places
    if plot is not None:
        check_suffix(plot)
    how = Replay(**replay, options=parse_options(texts[0]), device=pick_device(device))
    usual = queue_arm(Settings.model_fields["strategy"].default)
    arms = read_arms(texts[1] or [usual.name])
    read = SimulatedCorpus.of(read_benchmark(name, Sources(**sources)), **corpus)
    with progress_bar(name) as advance:

        def show(report: Report) -> None:
            advance(report.n_done, report.n_models, report.title)

        simulation = Simulation(
            read,
            how,
            arms=arms,
            seeds=seeds,
            out=out,
            archive=archive,
            on_progress=show,
            on_record=lambda record: note(_line(record)),
        )
        simulation.run()
    value = describe_simulation(
        simulation,
        cost=AnnotationCost(**cost),
        command=shlex.join(["annotator", *sys.argv[1:]]),
    )
    if value["n_of_other_versions"]:
        note(
            f"{value['n_of_other_versions']} of {value['models']['done']} results are of another "
            "version of the program or its libraries; give another --out to do them again"
        )
    write_atomically(out / "results.json", json.dumps(value, indent=1) + "\n")
    if plot is not None:
        write_chart(draw_chart(value), plot)
    if summary is not None and not put_summary(summary, value, default=usual.name):
        note(f"{summary.name} is left as it is: no strategy is finished with a seed yet")
    emit(value, table(value), as_json=as_json)


def _line(record: dict[str, Any]) -> str:
    return (
        f"{record['arm']:<20} seed {record['seed']} round {record['round']}: "
        f"{record['labelled']['words']:>6,} words, entities F1 {record['ner_f1']:.1f}, "
        f"relations F1 {record['re_f1']:.1f}, mean {record['joint_f1']:.2f} "
        f"(trained in {record['train_s']:.0f} s)"
    )


def _parse_shares(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(one) for one in text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"--shares must be numbers such as 0.1,0.2,0.4, found {text!r}"
        ) from error


def _parse_cost(text: str | None) -> dict[str, float]:
    names = ("sentence_s", "word_s", "entity_s", "relation_s")
    if text is None:
        return {}
    try:
        return dict(zip(names, map(float, text.split(",")), strict=True))
    except ValueError as error:
        raise ConfigError(
            f"--cost must be four numbers of seconds such as 2,0.3,3,4, found {text!r}"
        ) from error


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)
