"""``annotator runs``: list, look at, follow and cancel training runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import emit, open_project
from annotator.cli.watch import describe_progress, describe_state

if TYPE_CHECKING:
    from annotator.store.run_log import RunEvent
    from annotator.store.runs import Run

__all__ = ["runs"]

runs = typer.Typer(help="List training runs; show, follow or cancel one.")

_PAUSE_S = 0.5


def _line(run: Run) -> str:
    why = "; ".join(run.reasons) or run.error or ""
    if run.state == "running":
        asked = "asked to stop" if run.cancel_requested else ""
        why = ", ".join(filter(None, (asked, describe_progress(run.progress))))
    return f"{run.id:>4}  {run.state:<10} {run.trigger:<8} {run.created_at:%Y-%m-%d %H:%M}  {why}"


def _details(run: Run) -> list[str]:
    before = run.settings.get("start_from")
    lines = [
        f"started from  {before or 'the pre-trained encoder'}",
        f"attempts      {run.attempts}",
    ]
    if run.owner and run.state == "running":
        lines.append(f"worker        {run.owner}")
    if run.progress:
        lines.append(f"progress      {describe_progress(run.progress)}")
    if run.error:
        died = "died of" if run.state == "failed" else "died before of"
        lines.append(f"{died:<14}{run.error}")
    return [f"      {line}" for line in lines]


def _event_line(event: RunEvent) -> str:
    said = [f"{key} {_plain(value)}" for key, value in event.detail.items()]
    if event.kind == "epoch":
        said = [describe_progress({"phase": "train", **event.detail})]
    return f"{event.at:%Y-%m-%d %H:%M:%S}  {event.kind:<14} {', '.join(said)}".rstrip()


def _plain(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)


@runs.callback(invoke_without_command=True)
def _runs(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List training runs; show, follow or cancel one.

    Example: annotator runs
    """
    if context.invoked_subcommand is None:
        list_(home=home, as_json=as_json)
    elif home is not None or as_json:
        raise typer.BadParameter(f"write options after {context.invoked_subcommand}")


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
        from annotator.store.runs import list_runs, run_to_json

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
        from annotator.store.runs import get_run, run_to_json

        run = get_run(session, run_id)
    emit(run_to_json(run), [_line(run), *_details(run)], as_json=as_json)


@runs.command("logs")
def logs(
    run_id: Annotated[int, typer.Argument(metavar="RUN")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on printing until the run has ended.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what a run did when: attempts, epochs, scores, reasons, how a process died. In UTC.

    With --json one object a line.

    Example: annotator runs logs 3 --follow
    """
    with open_project(home) as opened:
        from annotator.store.run_log import event_to_json, read_run_log
        from annotator.store.runs import FINISHED, get_run

        last = 0
        while True:
            with opened.database.read() as session:
                run = get_run(session, run_id)
                found = read_run_log(session, run_id, after=last)
            for event in found:
                emit(event_to_json(event), [_event_line(event)], as_json=as_json)
                last = event.id
            if not follow or run.state in FINISHED:
                return
            time.sleep(_PAUSE_S)


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
        from annotator.store.runs import cancel_run, run_to_json

        run = cancel_run(session, run_id)
    emit(
        run_to_json(run),
        [f"run {run.id}: {describe_state(run.state, cancel_requested=run.cancel_requested)}"],
        as_json=as_json,
    )
