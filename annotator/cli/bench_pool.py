"""``annotator bench store`` and ``select``: a pool of a million sentences."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from annotator.cli.options import DeviceOption, EncoderOption, JsonOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import command_line, emit

__all__ = ["select", "store"]


def store(
    n_sentences: Annotated[
        int, typer.Option("--n", min=10, help="Sentences of the pool, each a task.")
    ] = 1_000_000,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", help="An empty database [default: a SQLite file]."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import, score and order a large pool; time the next batch and the status page.

    Texts and scores are generated. A million takes minutes and some GB of disk, in a temporary
    folder or in the database that is named: it must be empty, and the rows stay in it.

    Example: annotator bench store --n 100000 --json
    """
    import tempfile

    from annotator.bench.store import StoreBenchPlan, bench_store

    plan = StoreBenchPlan(n_sentences=n_sentences, database_url=database_url)
    with progress_bar("bench") as advance, tempfile.TemporaryDirectory() as folder:
        value = bench_store(
            plan,
            home=Path(folder) / "bench",
            report=lambda what, done, total: advance(done, total, what),
        )
    shown = ["--database-url", "URL"] if database_url else []  # it may hold a password
    value["command"] = shlex.join(
        ["annotator", "bench", "store", "--n", str(n_sentences), *shown, "--json"]
    )
    emit(
        value,
        [
            f"{value['n_sentences']} sentences on {value['engine']}",
            f"next batch     {value['next_batch_s']:.2f} s",
            f"status         {value['status_s']:.2f} s",
            f"import         {value['ingest_per_s']} sentences/s",
            f"memory         {value['rss_growth_mb']:.0f} MB more than after the first 20,000",
        ],
        as_json=as_json,
    )


def select(
    n_pool: Annotated[
        int, typer.Option("--n", min=1000, help="Scored sentences to select from.")
    ] = 1_000_000,
    encoder: EncoderOption = "minilm",
    n_sentences: Annotated[
        int, typer.Option("--sentences", min=1, help="Sentences in a round of scoring.")
    ] = 512,
    n_rounds: Annotated[int, typer.Option("--rounds", min=1, help="Rounds of scoring.")] = 5,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure a selection of 50 out of a large pool, and what scoring adds to predicting.

    Scores and embeddings of the pool are generated. Takes some minutes and 1 GB of memory.

    Example: annotator bench select --json
    """
    import torch

    from annotator.bench.model import ModelBenchPlan
    from annotator.bench.select import bench_select
    from annotator.formats import read_corpus
    from annotator.model.device import pick_device
    from annotator.resources import sample_file

    plan = ModelBenchPlan(
        encoder=encoder,
        n_sentences=n_sentences,
        n_rounds=n_rounds,
        device=torch.device(pick_device(device)),
    )
    with progress_bar("bench") as advance:
        value = bench_select(
            read_corpus("jsonl", sample_file()).documents,
            plan,
            n_pool=n_pool,
            report=lambda what, done, total: advance(done, total, what),
        )
    value["command"] = command_line()
    emit(
        value,
        [
            f"50 of {value['n_pool']} sentences in {value['select_s']:.2f} s",
            f"scoring takes {value['score_overhead']:+.1%} over predicting alone",
        ],
        as_json=as_json,
    )
