"""``annotator lexicon``: terms and types that are known before anybody has labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import OpenProject, emit, open_project
from annotator.errors import ConfigError

__all__ = ["lexicon", "take_lexicon"]


def take_lexicon(opened: OpenProject, path: Path | None) -> None:
    """Store the lexicon that an option names, if any."""
    if path is not None:
        from annotator.services.queue.lexicon import keep_lexicon
        from annotator.store.projects import current_schema

        with opened.database.read() as session:
            schema = current_schema(session, opened.project.id)
        keep_lexicon(opened.settings.home, path, schema)


def lexicon(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Terms and types: TSV or CSV, two columns."),
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Forget the lexicon; nothing is drawn by it any more.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a lexicon that draws the first labels.

    It also looks for rare types, until there is a model.

    Example: annotator lexicon terms.tsv
    """
    if remove == (path is not None):
        raise ConfigError("give a file of terms and types, or --remove")
    with open_project(home) as opened:
        from annotator.services.queue.lexicon import drop_lexicon, load_lexicon, warmup_name

        if remove:
            was_there = drop_lexicon(opened.settings.home)
            told = "the lexicon is forgotten" if was_there else "there was no lexicon"
            emit({"removed": was_there}, [told], as_json=as_json)
            return
        take_lexicon(opened, path)
        terms = load_lexicon(opened.settings.home)
        name = warmup_name(opened.settings.home)
    n_terms, types = len(terms or ()), sorted(terms.types if terms else ())
    emit(
        {"name": name, "n_terms": n_terms, "types": types},
        [
            f"{n_terms} terms of {', '.join(types)} taken as {name}",
            "while no model is in use, a running worker draws them in the tasks shown first; "
            "annotator push does so now",
        ],
        as_json=as_json,
    )
