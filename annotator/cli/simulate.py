"""``annotator simulate``: what each strategy would have cost on a corpus of known labels."""

from __future__ import annotations

import json
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
from annotator.settings import Settings

if TYPE_CHECKING:
    from annotator.simulation import SimulatedCorpus

__all__ = ["simulate"]

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
_On = Annotated[Literal["dev", "test"], typer.Option("--on", help="Which part is scored.")]
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
    seeds: SeedsOption = 3,
    first_seed: FirstSeedOption = 0,
    shares: _Shares = None,
    start: _StartOption = "random",
    random_share: _RandomShare = 0.15,
    set_: SetOption = None,
    on: _On = "test",
    encoder: EncoderOption = "minilm",
    out: _Out = None,
    archive: _Archive = None,
    plot: _Plot = None,
    summary: _Summary = None,
    cost: _Cost = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Replay a gold corpus under each query strategy.

    What would each have cost, against random order?

    May be killed at any time: run it again to continue; several at once share
    the work.

    Example: annotator simulate conll04 --data ./conll04 -s mnlp -s joint_rate --seeds 3
    """
    given = locals()  # the options by their names
    replay = {"shares": _parse_shares(shares)} if shares else {}
    value = _run(given, replay, _parse_cost(cost))
    _write(value, given)

    from annotator.simulation import table

    emit(value, table(value), as_json=as_json)


def _run(given: dict[str, Any], replay: dict[str, Any], cost: dict[str, float]) -> dict[str, Any]:
    """Replay what is not done yet, and return the costs of reaching the scores."""
    from annotator.active.cost import AnnotationCost
    from annotator.experiments import parse_options
    from annotator.model.device import pick_device
    from annotator.simulation import Replay, Report, Simulation, describe_simulation, read_arms
    from annotator.views import check_suffix

    if given["plot"] is not None:
        check_suffix(given["plot"])
    names = ("start", "random_share", "encoder", "on")
    options, device = parse_options(given["set_"] or []), pick_device(given["device"])
    how = Replay(**replay, **pick(given, names), options=options, device=device)
    arms = read_arms(given["strategy"] or [_usual_arm()])
    corpus = _read_corpus(given)
    with progress_bar(given["name"]) as advance:

        def show(report: Report) -> None:
            advance(report.n_done, report.n_models, report.title)

        simulation = Simulation(
            corpus,
            how,
            arms=arms,
            seeds=range(given["first_seed"], given["first_seed"] + given["seeds"]),
            out=_out(given),
            archive=given["archive"],
            on_progress=show,
            on_record=lambda record: note(_line(record)),
        )
        simulation.run()
    return describe_simulation(simulation, cost=AnnotationCost(**cost), command=command_line())


def _usual_arm() -> str:
    from annotator.simulation import queue_arm

    return queue_arm(Settings.model_fields["strategy"].default).name


def _read_corpus(given: dict[str, Any]) -> SimulatedCorpus:
    from annotator.experiments import Sources, read_benchmark
    from annotator.simulation import SimulatedCorpus

    is_one_file = given["name"] == "jsonl" and given["data"] is not None
    sources = Sources(
        **pick(given, ("data", "train", "test", "negatives")),
        format=given["fmt"],
        n_folds=_FOLDS if is_one_file else None,
    )
    benchmark = read_benchmark(given["name"], sources)
    return SimulatedCorpus.of(benchmark, **pick(given, ("fold", "on", "limit")))


def _out(given: dict[str, Any]) -> Path:
    out: Path | None = given["out"]
    return out or Path("simulations") / given["name"]


def _write(value: dict[str, Any], given: dict[str, Any]) -> None:
    """Write the requested files, and print notes about them."""
    from annotator.experiments.record import write_atomically
    from annotator.simulation import draw_chart, put_summary
    from annotator.views import write_chart

    plot, summary = given["plot"], given["summary"]
    if value["n_of_other_versions"]:
        note(
            f"{value['n_of_other_versions']} of {value['models']['done']} results are of another "
            "version of the program or its libraries; give another --out to do them again"
        )
    write_atomically(_out(given) / "results.json", json.dumps(value, indent=1) + "\n")
    if plot is not None:
        write_chart(draw_chart(value), plot)
    if summary is not None and not put_summary(summary, value, default=_usual_arm()):
        note(f"{summary.name} is left as it is: no strategy is finished with a seed yet")


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
