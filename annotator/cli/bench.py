"""``annotator bench``: speed as ratios, each from one run on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from annotator.cli.bench_pool import select, store
from annotator.cli.options import DeviceOption, EncoderOption, JsonOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import command_line, emit

__all__ = ["bench"]

bench = typer.Typer(
    help="Measure speed, as ratios of figures from one run.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_Format = Annotated[str, typer.Option("--format", help="jsonl, bioes, ade or conll04.")]


@bench.callback()
def _bench() -> None:
    """Keep the subcommands below a name of their own."""


@bench.command("model")
def model(
    encoder: EncoderOption = "minilm",
    n_sentences: Annotated[
        int, typer.Option("--sentences", min=1, help="Sentences in a round of scoring.")
    ] = 512,
    n_rounds: Annotated[
        int, typer.Option("--rounds", min=1, help="Rounds of each comparison.")
    ] = 5,
    data: Annotated[
        Path | None, typer.Option("--data", help="Gold documents [default: the bundled notes].")
    ] = None,
    fmt: _Format = "jsonl",
    checkpoint: Annotated[
        Path | None,
        typer.Option("--model", help="Folder of a trained model [default: train one here]."),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure scoring and training against the bare encoder, and bf16 against fp32.

    Takes some minutes on a laptop, and needs it to be quiet. Needs no project.

    Example: annotator bench model --json
    """
    import torch

    from annotator.bench.model import ModelBenchPlan, bench_model
    from annotator.formats import read_corpus
    from annotator.model.device import pick_device
    from annotator.resources import sample_file

    plan = ModelBenchPlan(
        encoder=encoder,
        n_sentences=n_sentences,
        n_rounds=n_rounds,
        device=torch.device(pick_device(device)),
        model=checkpoint,
    )
    documents = read_corpus(fmt, data or sample_file()).documents
    with progress_bar("bench") as advance:
        value = bench_model(
            documents, plan, report=lambda what, done, total: advance(done, total, what)
        )
    value["command"] = command_line()
    emit(value, _lines(value), as_json=as_json)


@bench.command("backend")
def backend(
    encoder: EncoderOption = "minilm",
    n_sentences: Annotated[
        int, typer.Option("--sentences", min=1, help="Tasks in the one large request.")
    ] = 600,
    per_s: Annotated[float, typer.Option("--rate", min=1, help="Events a second.")] = 100.0,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, help="How long they come in.")
    ] = 60.0,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Documents to send [default: the bundled notes]."),
    ] = None,
    fmt: _Format = "jsonl",
    as_json: JsonOption = False,
) -> None:
    """Measure what Label Studio waits for: predictions, health beside training, events.

    Starts a backend and a worker of its own in a temporary folder. Takes some minutes.

    Example: annotator bench backend --json
    """
    import tempfile

    from annotator.bench.backend import BackendBenchPlan, bench_backend
    from annotator.formats import read_corpus
    from annotator.resources import sample_file

    plan = BackendBenchPlan(encoder=encoder, n_sentences=n_sentences, per_s=per_s, seconds=seconds)
    with progress_bar("bench") as advance, tempfile.TemporaryDirectory() as folder:
        value = bench_backend(
            read_corpus("jsonl", sample_file()).documents,
            plan,
            texts=read_corpus(fmt, data or sample_file()).documents,
            home=Path(folder) / "bench",
            report=lambda what, done, total: advance(done, total, what),
        )
    value["command"] = command_line()
    emit(value, _backend_lines(value), as_json=as_json)


@bench.command("push")
def push(
    encoder: EncoderOption = "minilm",
    n_tasks: Annotated[int, typer.Option("--tasks", min=1, help="Tasks to push.")] = 10_000,
    studio_venv: Annotated[
        Path | None,
        typer.Option("--studio-venv", help="Virtual environment with (or for) Label Studio."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Push predictions to a real Label Studio, killed in the middle, and count what it has.

    Installs and starts a Label Studio of its own in a temporary folder. Takes some minutes.

    Example: annotator bench push --tasks 10000 --json
    """
    import tempfile

    from annotator.bench.pushing import PushBenchPlan, bench_push
    from annotator.formats import read_corpus
    from annotator.resources import sample_file

    plan = PushBenchPlan(encoder=encoder, n_tasks=n_tasks, studio_venv=studio_venv)
    with progress_bar("bench") as advance, tempfile.TemporaryDirectory() as folder:
        value = bench_push(
            read_corpus("jsonl", sample_file()).documents,
            plan,
            home=Path(folder),
            report=lambda what, done, total: advance(done, total, what),
        )
    value["command"] = command_line()
    emit(
        value,
        [
            f"killed after {value['killed_after_s']:.0f} s, the rest took {value['rest_s']:.0f} s, "
            f"once more {value['again_s']:.0f} s",
            f"{value['n_tasks_there']} tasks of {value['n_tasks']} "
            f"({value['n_tasks_double']} double), {value['n_predictions_there']} predictions "
            f"({value['n_predictions_double']} double, {value['n_without_prediction']} missing)",
            f"another version {value['another_s']:.0f} s, rolled back {value['rollback_s']:.1f} s",
        ],
        as_json=as_json,
    )


@bench.command("engine")
def engine(
    encoder: EncoderOption = "minilm",
    n_sentences: Annotated[
        int, typer.Option("--sentences", min=3073, help="Sentences that are scored in a round.")
    ] = 8192,
    n_steps: Annotated[
        int, typer.Option("--steps", min=5, help="Steps that are trained in a round.")
    ] = 30,
    n_rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Measure what a second worker is worth, on this machine and on a Ray cluster.

    Starts a cluster of its own on this machine, whose nodes have one core each. Needs the extra
    ray and no project.

    Example: annotator bench engine --json
    """
    import tempfile

    from annotator.bench.cluster import EngineBenchPlan, bench_engine
    from annotator.formats import read_corpus
    from annotator.resources import sample_file

    plan = EngineBenchPlan(
        encoder=encoder, n_sentences=n_sentences, n_steps=n_steps, n_rounds=n_rounds
    )
    with progress_bar("bench") as advance, tempfile.TemporaryDirectory() as folder:
        value = bench_engine(
            read_corpus("jsonl", sample_file()).documents,
            plan,
            home=Path(folder),
            report=lambda what, done, total: advance(done, total, what),
        )
    value["command"] = command_line()
    emit(value, _engine_lines(value), as_json=as_json)


def _engine_lines(value: dict[str, Any]) -> list[str]:
    words, sentences = value["words_per_s"], value["sentences_per_s"]
    return [
        f"{value['processor']}, {value['n_cores']} cores, one a worker; {value['encoder']}",
        f"training, two workers over one: {value['training_2_vs_1']:.2f} on Ray "
        f"({words['ray_2']:.0f} and {words['ray_1']:.0f} words/s), "
        f"{value['training_local_2_vs_1']:.2f} without "
        f"({words['local_2']:.0f} and {words['local_1']:.0f})",
        f"scoring, two workers over one: {value['scoring_2_vs_1']:.2f} on Ray "
        f"({sentences['ray_2']:.0f} and {sentences['ray_1']:.0f} sentences/s), "
        f"{sentences['local_1']:.0f} without",
    ]


bench.command("store")(store)
bench.command("select")(select)


def _backend_lines(value: dict[str, Any]) -> list[str]:
    def line(name: str, key: str) -> str:
        found = value[key]
        return (
            f"{name:<34} p50 {found['p50_ms']:8.1f} ms   p99 {found['p99_ms']:8.1f} ms   "
            f"{found['n']} calls, {found['n_failed']} failed"
        )

    uncached = value["uncached"]
    return [
        f"{value['processor']}, {value['n_cores']} cores, {value['encoder']}",
        f"{'/predict, ' + str(uncached['n_tasks']) + ' new tasks':<34} {uncached['seconds']:.1f} s",
        line("/predict, one known task", "cached"),
        line("/predict, one task with regions", "interactive"),
        line("/health beside a training run", "health_beside_training"),
        line("/setup beside a training run", "setup_beside_training"),
        line(f"/webhook, {value['webhook_per_s']:.0f} a second", "webhook"),
        f"{'events lost':<34} {value['webhook_lost']}; worked off {value['webhook_worked_off']}, "
        f"{value['webhook_drain_s']:.0f} s after the last one",
    ]


def _lines(value: dict[str, Any]) -> list[str]:
    rate, words = value["sentences_per_s"], value["words_per_s"]
    chosen = value["precision"]
    return [
        f"{value['device']}, {value['threads']} threads, {value['encoder']}; "
        f"precision auto takes {chosen}",
        f"scoring over bare encoder    {value['score_vs_encoder']:.2f}   "
        f"{rate['scoring_' + chosen]:.0f} and {rate['encoder_' + chosen]:.0f} sentences/s",
        f"training over bare encoder   {value['train_vs_encoder']:.2f}   "
        f"{words['training']:.0f} and {words['encoder']:.0f} words/s",
        f"scoring in bf16 over fp32    {value['reduced_vs_fp32']:.2f}   "
        f"{rate['scoring_bf16']:.0f} and {rate['scoring_fp32']:.0f} sentences/s",
        f"change in F1 by bf16        {value['reduced_f1_change']:+.2f}   "
        f"on {value['n_labelled']} sentences",
    ]
