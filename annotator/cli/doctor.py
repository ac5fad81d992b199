"""``annotator doctor``: what ails the project, or why one task shows what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.progress import say_minutes
from annotator.cli.project import OpenProject, emit, open_project, open_studio
from annotator.errors import ConfigError, StudioError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from annotator.services.reports.doctor import Finding

__all__ = ["doctor"]

_SIGNS = {"good": "ok  ", "warning": "look", "bad": "BAD "}


def doctor(
    task: Annotated[
        int | None,
        typer.Option("--task", help="Explain this task of Label Studio instead."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Examine the project and Label Studio, and say what helps.

    Changes nothing, but lets Label Studio send an event to see whether it arrives. Shows no
    document text, so that its output can be sent to somebody. The exit code is 1 if anything is
    bad.

    Example: annotator doctor --task 42
    """
    with open_project(home) as opened:
        found: list[Finding] = []
        with say_minutes(lambda: "doctor: still looking"):
            for finding in _task(opened, task) if task is not None else _all(opened):
                found.append(finding)
                if not as_json:
                    typer.echo(_line(finding))
    n_bad = sum(finding.state == "bad" for finding in found)
    n_odd = sum(finding.state == "warning" for finding in found)
    if as_json:
        value = {"ok": not n_bad, "findings": [finding.to_json() for finding in found]}
        emit(value, [], as_json=True)
    elif task is None:
        typer.echo(f"\n{n_bad} bad, {n_odd} to look at")
    if n_bad:
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    line = f"{_SIGNS[finding.state]}  {finding.part:<14} {finding.message}"
    return f"{line}\n{'':<21}{finding.remedy}" if finding.remedy else line


def _all(opened: OpenProject) -> Iterator[Finding]:
    from annotator.services.reports.doctor import Finding, examine_project
    from annotator.services.reports.doctor_studio import examine_studio

    settings, database, project = opened.settings, opened.database, opened.project
    yield from examine_project(settings, database, project)
    try:
        with open_studio(opened) as client:
            yield from examine_studio(settings, database, project, client)
    except ConfigError as error:
        yield Finding(part="label studio", state="warning", message=str(error))
    except StudioError as error:
        yield Finding(part="label studio", state="bad", message=str(error))


def _task(opened: OpenProject, number: int) -> Iterator[Finding]:
    from annotator.services.inference.versions import load_version
    from annotator.services.reports.doctor import Finding
    from annotator.services.reports.status import studio_page
    from annotator.services.reports.task import explain_task

    settings = opened.settings
    with open_studio(opened) as client:
        found = explain_task(
            opened.database,
            opened.project,
            client,
            number,
            load=lambda version: load_version(
                version, device=settings.device, precision=settings.precision
            ),
        )
        for finding in found:
            yield finding
            if finding.part == "task" and finding.state != "bad":
                page = studio_page(settings, opened.project, number)
                yield Finding(part="page", state="good", message=page or "")
