"""``annotator db``: the database's version."""

from __future__ import annotations

import typer

from annotator.cli.project import HomeOption, emit, open_project

__all__ = ["register"]

db = typer.Typer(help="The database.", no_args_is_help=True)


@db.callback()
def _group() -> None:
    """Look after the database."""


@db.command("upgrade")
def upgrade(home: HomeOption = None) -> None:
    """Bring the tables to this program's version. Every command does so when it starts.

    Example: annotator db upgrade
    """
    with open_project(home) as opened:
        engine = opened.database.engine_name
    emit({"engine": engine}, [f"the {engine} database is up to date"], as_json=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(db, name="db")
