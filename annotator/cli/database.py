"""``annotator db``: the database's version, backups, and the way back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import emit, open_project
from annotator.counted import counted
from annotator.settings import find_home, load_settings

__all__ = ["db"]

db = typer.Typer(help="The database: upgrade, backup, restore.", no_args_is_help=True)


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


_Models = Annotated[
    Literal["all", "active", "none"], typer.Option("--models", help="Which models go along.")
]
_WithSecrets = Annotated[
    bool, typer.Option("--with-secrets", help="Take passwords and tokens along.")
]
_Replace = Annotated[
    bool, typer.Option("--force", help="Replace a file of that name, once the new one is whole.")
]


@db.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="The archive to write, a .tar.")],
    models: _Models = "all",
    with_secrets: _WithSecrets = False,
    force: _Replace = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the database, the models and the settings into one archive, while programs run.

    It holds the notes: keep it where they may lie. It migrates nothing.

    Example: annotator db backup /backups/ward-7.tar --force
    """
    settings = load_settings(home)

    from annotator.services.archive.backup import back_up

    with progress_bar("backup") as advance:
        report = back_up(
            settings,
            file,
            models=models,
            with_secrets=with_secrets,
            replace=force,
            on_progress=lambda what, done, of: advance(done, of, what),
        )
    rows, facts = report.facts.rows, report.facts
    emit(
        {
            "file": report.file,
            "size_bytes": report.size_bytes,
            "engine": facts.engine,
            "migration": facts.migration,
            "rows": rows,
            "models": report.models,
            "left_out": report.left_out,
            "with_secrets": with_secrets,
        },
        [
            f"{report.file}: {counted(rows['document'], 'document')}, "
            f"{counted(rows['annotation'], 'annotation')}, "
            f"{counted(len(report.models), 'model')}, {report.size_bytes / 1e6:.1f} MB",
            *(f"left out: {one}" for one in report.left_out),
        ],
        as_json=as_json,
    )


@db.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(help="An archive that annotator db backup wrote.")],
    force: Annotated[
        bool, typer.Option("--force", help="Put it in the place of what is there; that is kept.")
    ] = False,
    with_settings: Annotated[
        bool,
        typer.Option("--with-settings", help="Take its addresses and credentials as well."),
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a project from a backup, in a new folder or in its old one.

    Stop annotator serve and annotator worker first. The next pull brings the labels given since.

    Example: annotator db restore /backups/ward-7.tar --home ./ward-7
    """
    from annotator.services.archive.restore import restore as restore_into

    named = home or (Path(value) if (value := os.environ.get("ANNOTATOR_HOME")) else None)
    report = restore_into(
        file,
        named.resolve() if named else find_home(),
        force=force,
        with_settings=with_settings,
    )
    emit(
        {name: getattr(report, name) for name in report.__slots__},
        [
            f"{report.home} has {counted(report.rows['document'], 'document')}, "
            f"{counted(report.rows['annotation'], 'annotation')} and "
            f"{counted(len(report.models), 'model')}",
            *(f"kept aside: {one}" for one in report.kept_aside),
            *(f"note: {one}" for one in report.to_do),
            "next: annotator doctor; annotator sync --full brings the labels given since",
        ],
        as_json=as_json,
    )
