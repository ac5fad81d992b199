"""``annotator sync``: makes our database equal to Label Studio's."""

from __future__ import annotations

from typing import Annotated

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import emit, open_project, open_studio
from annotator.counted import counted

__all__ = ["sync"]


def sync(
    full: Annotated[
        bool, typer.Option("--full", help="Look at all tasks, not only at changed ones.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pull everything that changed in Label Studio.

    Nothing depends on webhooks.

    Example: annotator sync
    """
    with open_project(home) as opened, open_studio(opened) as client:
        from annotator.services.queue.room_settings import split_rule
        from annotator.services.sync.pull import reconcile
        from annotator.services.sync.webhooks import process_inbox

        rule = split_rule(opened.settings)
        process_inbox(opened.database, opened.project, split=rule)
        with progress_bar("sync") as advance:
            report = reconcile(
                opened.database,
                opened.project,
                client,
                split=rule,
                full=full,
                on_progress=lambda done: advance(done, None, ""),
            )
    lines = [
        f"{counted(report.n_tasks, 'changed task')} seen, {report.n_news} news, "
        f"{counted(report.n_deleted_annotations, 'annotation')} and "
        f"{counted(report.n_deleted_tasks, 'task')} deleted"
    ]
    lines += [f"problem: {problem}" for problem in report.problems]
    emit(
        {name: getattr(report, name) for name in report.__slots__},
        lines,
        as_json=as_json,
    )
