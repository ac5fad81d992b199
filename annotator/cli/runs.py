"""``annotator runs``: list, look at and cancel training runs."""

from __future__ import annotations

from typing import Annotated

import typer

from annotator.cli.project import HomeOption, JsonOption, emit, open_project
from annotator.services.status import run_to_json
from annotator.store.runs import Run, cancel_run, get_run, list_runs

__all__ = ["register"]

runs = typer.Typer(help="Training runs: list, show, cancel.", no_args_is_help=True)


def _line(run: Run) -> str:
    why = "; ".join(run.reasons) or run.error or ""
    return f"{run.id:>4}  {run.state:<10} {run.trigger:<8} {run.created_at:%Y-%m-%d %H:%M}  {why}"


@runs.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first.

    Example: annotator runs list
    """
    with open_project(home) as opened, opened.database.read() as session:
        found = list_runs(session, opened.project.id, limit=limit)
    emit(
        {"runs": [run_to_json(run) for run in found]},
        [_line(run) for run in found] or ["no run yet; annotator retrain starts one"],
        as_json=as_json,
    )


@runs.command("show")
def show(
    run_id: Annotated[int, typer.Argument(metavar="RUN")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run with its progress.

    Example: annotator runs show 3
    """
    with open_project(home) as opened, opened.database.read() as session:
        run = get_run(session, run_id)
    progress = ", ".join(f"{key} {value}" for key, value in run.progress.items() if key != "at")
    emit(run_to_json(run), [_line(run), f"      {progress}"], as_json=as_json)


@runs.command("cancel")
def cancel(
    run_id: Annotated[int, typer.Argument(metavar="RUN")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a run to stop; the model in use stays as it is.

    Example: annotator runs cancel 3
    """
    with open_project(home) as opened, opened.database.write() as session:
        run = cancel_run(session, run_id)
    emit(run_to_json(run), [f"run {run.id}: {run.state}, asked to stop"], as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(runs, name="runs")
