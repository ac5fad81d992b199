"""``annotator models``, ``promote`` and ``rollback``: versions one can go back to."""

from __future__ import annotations

from typing import Annotated

import typer

from annotator.cli.project import HomeOption, JsonOption, OpenProject, emit, open_project
from annotator.services.status import version_to_json
from annotator.store.versions import ModelVersion, list_versions

__all__ = ["register"]


def _line(version: ModelVersion) -> str:
    holdout = version.metrics.get("holdout")
    scores = "no hold-out scores"
    if holdout and holdout["n_sentences"]:
        ner, re = holdout["ner"]["micro"]["f1"], holdout["re"]["micro"]["f1"]
        scores = f"entities F1 {ner:.1f}, relations F1 {re:.1f}"
    state = version.state + (" (provisional)" if version.provisional else "")
    return f"{version.name:<28} {state:<22} {version.created_at:%Y-%m-%d %H:%M}  {scores}"


def models(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List model versions, newest first, with their strict scores on the hold-out.

    Example: annotator models
    """
    with open_project(home) as opened, opened.database.read() as session:
        found = list_versions(session, opened.project.id)
    emit(
        {"versions": [version_to_json(v) for v in found]},
        [_line(v) for v in found] or ["no model yet; annotator retrain makes one"],
        as_json=as_json,
    )


def promote(
    version: Annotated[str, typer.Argument(help="A name that annotator models lists.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a version into use, whatever the gate said; the audit trail notes it.

    Example: annotator promote default-3-1a2b3c4d
    """
    with open_project(home) as opened:
        _activate(opened, version, as_json=as_json)


def rollback(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Go back to the version that was in use before this one.

    Example: annotator rollback
    """
    from annotator.services.promote import previous_version

    with open_project(home) as opened:
        with opened.database.read() as session:
            version = previous_version(session, opened.project.id)
        _activate(opened, version.name, as_json=as_json)


def _activate(opened: OpenProject, name: str, *, as_json: bool) -> None:
    from annotator.jobs.queue import JobQueue
    from annotator.services.promote import promote_version

    version = promote_version(opened.database, opened.project.id, name, actor="command")
    queue = JobQueue(opened.settings.queue)
    try:
        queue.publish()
    finally:
        queue.close()
    emit(
        version_to_json(version),
        [f"{version.name} is in use; a running worker brings Label Studio up to date"],
        as_json=as_json,
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("models")(models)
    app.command("promote")(promote)
    app.command("rollback")(rollback)
