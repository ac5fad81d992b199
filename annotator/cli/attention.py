"""``annotator attention``: what the heads of the encoder look at in a text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import HomeOption, JsonOption, ModelOption
from annotator.cli.project import emit, note, open_project

if TYPE_CHECKING:
    from annotator.store.versions import ModelVersion
    from annotator.views import AttentionView

__all__ = ["attention"]


def attention(
    text: Annotated[str, typer.Argument(help="A sentence; - reads it from the standard input.")],
    out: Annotated[Path, typer.Option("--out", help="The picture to write: a .png or .html file.")],
    model: ModelOption = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            help="Instead of a version, an encoder as it was before training: minilm, a local "
            "folder, or a hub id. Needs no project.",
        ),
    ] = None,
    layer: Annotated[
        int | None, typer.Option("--layer", help="With --head: show this one, counted from 1.")
    ] = None,
    head: Annotated[
        int | None, typer.Option("--head", help="With --layer: show this one, counted from 1.")
    ] = None,
    grid: Annotated[bool, typer.Option("--grid", help="Show all heads.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw what the encoder's heads look at, word by word.

    Also find heads with a pattern.

    Shown are the heads that look most at the next word, the previous word, the word itself, and
    the end; or one head, or all.

    Example: annotator attention "Rash after aspirin." --out attention.html
    """
    _check_heads(layer, head, grid=grid)
    if model is not None and encoder is not None:
        raise typer.BadParameter("--model and --encoder exclude each other")
    seen_by: ModelVersion | str
    if encoder is not None:
        seen_by = encoder
    else:
        with open_project(home) as opened:
            seen_by = opened.version(model)

    from annotator.views import check_suffix, write_view

    check_suffix(out)
    view = _view(sys.stdin.read() if text == "-" else text, seen_by)
    if layer is not None and head is not None:
        write_view(view, (view.head_panel(layer=layer, head=head),), out)
    else:
        write_view(view, None if grid else view.pattern_panels(), out)
    emit({**view.to_json(), "out": str(out)}, _lines(view, out), as_json=as_json)


def _check_heads(layer: int | None, head: int | None, *, grid: bool) -> None:
    if (layer is None) != (head is None):
        raise typer.BadParameter("--layer and --head go together")
    if grid and layer is not None:
        raise typer.BadParameter("--grid shows all heads: leave out --layer and --head")


def _view(text: str, seen_by: ModelVersion | str) -> AttentionView:
    from annotator.model import load_encoder
    from annotator.services.inference.versions import load_version
    from annotator.text import split_sentences
    from annotator.views import view_attention

    n_sentences = len(split_sentences(text))
    if n_sentences > 1:
        note(
            f"the text has {n_sentences} sentences; they are read together here, but one by one "
            "when the model predicts"
        )
    if isinstance(seen_by, str):
        return view_attention(text, load_encoder(seen_by), source=seen_by)
    loaded = load_version(seen_by, device="cpu").model
    return view_attention(
        text, loaded.encoder_parts, source=seen_by.name, max_pieces=loaded.config.max_pieces
    )


def _lines(view: AttentionView, out: Path) -> list[str]:
    lines = [f"{out}: {len(view.words)} words, {view.n_layers} layers of {view.n_heads} heads"]
    for pattern, best in view.patterns.items():
        heads = ", ".join(f"layer {one.layer} head {one.head} {one.weight:.2f}" for one in best)
        lines.append(f"{pattern:<10} {heads}")
    return lines
