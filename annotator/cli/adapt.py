"""``annotator adapt``: an encoder that knows the words of your text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from annotator.cli.options import FormatOption, JsonOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import emit

if TYPE_CHECKING:
    from annotator.training import AdaptationProgress, AdaptationResult, AdaptationSettings

__all__ = ["adapt"]


_Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Files or folders; labels are not used.")
]
_Out = Annotated[Path, typer.Option("--out", help="The folder of the new encoder.")]
_Begin = Annotated[
    str, typer.Option("--encoder", help="Where to begin: minilm, a local folder, or a hub id.")
]
_Epochs = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Passes over the text [default: 3].")
]
_Steps = Annotated[
    int | None, typer.Option("--steps", min=1, help="Optimiser steps, instead of epochs.")
]
_Minutes = Annotated[
    float | None, typer.Option("--minutes", help="Minutes of training, instead of epochs.")
]
_BatchPieces = Annotated[
    int, typer.Option("--batch-pieces", min=16, help="Most word pieces a step.")
]
_Lr = Annotated[
    float | None,
    typer.Option("--lr", help="Peak learning rate [default: 3e-4, of wide encoders 5e-5]."),
]
_Mask = Annotated[float, typer.Option("--mask", help="Share of the words to hide.")]
_Holdout = Annotated[
    float, typer.Option("--holdout", help="Share of the sentences to measure with.")
]
_Seed = Annotated[int, typer.Option("--seed", min=0, help="Of all that is random.")]
_Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
_Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    typer.Option("--precision", help="auto: bf16 where the processor multiplies in it."),
]


def adapt(
    paths: _Paths,
    out: _Out,
    fmt: FormatOption = "jsonl",
    encoder: _Begin = "minilm",
    epochs: _Epochs = None,
    steps: _Steps = None,
    minutes: _Minutes = None,
    batch_pieces: _BatchPieces = 4096,
    lr: _Lr = None,
    mask: _Mask = 0.15,
    holdout: _Holdout = 0.02,
    seed: _Seed = 0,
    device: _Device = "auto",
    precision: _Precision = "auto",
    as_json: JsonOption = False,
) -> None:
    """Adapt an encoder to your text by guessing hidden words.

    The text may be labelled or not. Needs no project.

    Stopped, it continues when it is run again with the same options.

    Example: annotator adapt notes.jsonl --out encoders/ward --minutes 30
    """
    if sum(limit is not None for limit in (epochs, steps, minutes)) > 1:
        raise typer.BadParameter("give one of --epochs, --steps and --minutes")

    from annotator.training import AdaptationSettings

    settings = AdaptationSettings(
        epochs=3 if epochs is None else epochs,
        steps=steps,
        minutes=minutes,
        batch_pieces=batch_pieces,
        encoder_lr=lr,
        mask=mask,
        holdout=holdout,
        seed=seed,
        precision=precision,
    )
    result = _adapt(fmt, paths, encoder, settings, folder=out, device=device)
    emit(result.to_json(), _lines(result), as_json=as_json)


def _adapt(
    fmt: str,
    paths: list[Path],
    encoder: str,
    settings: AdaptationSettings,
    *,
    folder: Path,
    device: str,
) -> AdaptationResult:
    from annotator.model.device import pick_device
    from annotator.services.models.adapt import adapt_to_files

    with progress_bar("adapt") as advance:

        def show(progress: AdaptationProgress) -> None:
            total = progress.n_steps or 1000
            words = f"loss {progress.loss:.2f}, {progress.words_per_s:,.0f} words/s"
            advance(round(progress.share * total), total, words)

        return adapt_to_files(
            fmt,
            paths,
            encoder=encoder,
            settings=settings,
            folder=folder,
            device=pick_device(device),
            on_progress=show,
        )


def _lines(result: AdaptationResult) -> list[str]:
    measured = (
        f"loss on {result.n_held_out} sentences held out: {result.loss_before:.3f} before, "
        f"{result.loss_after:.3f} after (perplexity {result.perplexity_before:.1f}, "
        f"{result.perplexity_after:.1f})"
    )
    return [
        f"{result.encoder} adapted to {result.n_sentences} sentences in {result.n_steps} steps, "
        f"{result.train_s:.0f} s, {result.words_per_s:.0f} words/s",
        measured if result.n_held_out else "no sentence was held out, so nothing was measured",
        f"written to {result.folder}; to use it, set encoder to that folder in annotator.toml",
    ]
