"""``annotator export``: gold in a format of your choice."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotator import __version__
from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import emit, open_project
from annotator.counted import counted

__all__ = ["export"]


def export(
    out: Annotated[Path, typer.Option("--out", help="The folder to write into.")],
    fmt: Annotated[str, typer.Option("--format", help="bioes, brat or jsonl.")] = "jsonl",
    shared: Annotated[
        bool, typer.Option("--shared", help="Let other accounts of the machine read it.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the gold labels in a format, with a manifest.

    A report lists what the format cannot express.

    Example: annotator export --format bioes --out ./gold
    """
    with open_project(home) as opened:
        from annotator.services.archive.export import export_gold

        report = export_gold(
            opened.database,
            opened.project.id,
            name=fmt,
            out=out,
            program_version=__version__,
            readable_by="all" if shared else "owner",
        )
    lines = [
        f"{counted(report.n_documents, 'document')}, {counted(report.n_sentences, 'sentence')}, "
        f"{counted(report.n_entities, 'entity')}, {counted(report.n_relations, 'relation')}",
        *(f"wrote {name}" for name in report.files),
    ]
    if report.not_expressible:
        lines.append(
            f"{counted(report.not_expressible, 'label')} left out; alignment.json has a line each"
        )
    if report.not_carried:
        lines.append(
            f"{report.not_carried} answers of other controls and notes on regions are not in it; "
            "they stay in Label Studio"
        )
    emit({name: getattr(report, name) for name in report.__slots__}, lines, as_json=as_json)
