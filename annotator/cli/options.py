"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from annotator.formats import READERS

__all__ = [
    "READABLE_FORMATS",
    "DeviceOption",
    "EncoderOption",
    "FirstSeedOption",
    "FormatOption",
    "HomeOption",
    "JsonOption",
    "LexiconOption",
    "ModelOption",
    "SeedsOption",
    "SetOption",
    "pick",
]

#: The formats that can be read, as a sentence of help.
READABLE_FORMATS = f"One of {', '.join(READERS)}."

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        help="The project's folder; by default ANNOTATOR_HOME or the nearest annotator.toml.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
FormatOption = Annotated[str, typer.Option("--format", help=READABLE_FORMATS)]
ModelOption = Annotated[
    str | None, typer.Option("--model", help="A version [default: the active one].")
]
EncoderOption = Annotated[
    str, typer.Option("--encoder", help="minilm, a local folder, or a hub id.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
LexiconOption = Annotated[
    Path | None,
    typer.Option("--lexicon", help="Take a lexicon too, as annotator lexicon does."),
]
SeedsOption = Annotated[int, typer.Option("--seeds", min=1, help="How many seeds.")]
FirstSeedOption = Annotated[int, typer.Option("--first-seed", min=0, help="The first of them.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value: a setting of training or model; repeatable."),
]


def pick(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return a selection of the given options."""
    return {name: given[name] for name in names}
