"""``annotator init``: a new project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from annotator.cli.options import EncoderOption, JsonOption
from annotator.cli.project import emit
from annotator.settings import init_home, load_settings

__all__ = ["init"]


def init(
    home: Annotated[Path, typer.Option("--home", help="The folder to make.")] = Path(),
    name: Annotated[str, typer.Option("--name", help="The project's name.")] = "default",
    unit: Annotated[
        Literal["sentence", "document"],
        typer.Option("--unit", help="What one Label Studio task holds."),
    ] = "sentence",
    encoder: EncoderOption = "minilm",
    as_json: JsonOption = False,
) -> None:
    """Make a project: a folder with settings and a database.

    What is there is kept.

    Example: annotator init --home ./ward-7 --name ward-7
    """
    from annotator.store.database import Database
    from annotator.store.projects import ensure_project

    is_new = init_home(home, project=name, unit=unit, encoder=encoder)
    settings = load_settings(home)
    database = Database(settings.database)
    try:
        database.upgrade()
        with database.write() as session:
            project = ensure_project(session, name=settings.project, unit=settings.unit)
    finally:
        database.close()
    state = "made" if is_new else "was there already; nothing was overwritten"
    emit(
        {"home": str(settings.home), "project": project.name, "new": is_new},
        [
            f"project {project.name} in {settings.home} {state}",
            f"next: annotator import jsonl FILE --as gold --home {home}",
        ],
        as_json=as_json,
    )
