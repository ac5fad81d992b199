"""``annotator push``: tasks, predictions and order to Label Studio, now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.lexicon import LexiconOption, take_lexicon
from annotator.cli.project import (
    HomeOption,
    JsonOption,
    emit,
    open_project,
    open_studio,
    progress_bar,
)
from annotator.store.versions import active_version

if TYPE_CHECKING:
    from annotator.services.queue.cold_start import WarmupReport

__all__ = ["register"]


def push(
    check_next: Annotated[
        bool,
        typer.Option(
            "--check-next",
            help="Ask Label Studio for its next task and compare; locks that task for a day.",
        ),
    ] = False,
    lexicon: LexiconOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload documents as tasks and push the active model's predictions and order.

    A running worker does this by itself. What Label Studio has already is not sent again. While
    there is no model, the first tasks are spread over the text, with a lexicon's terms drawn.

    Example: annotator push --check-next
    """
    from annotator.jobs.housekeeper import queue_settings, split_rule, warmup_of
    from annotator.services.inference.compute import make_engine
    from annotator.services.queue.cold_start import publish_warmup
    from annotator.services.queue.publish import publish_version, verify_next
    from annotator.services.sync.pull import reconcile
    from annotator.services.sync.upload import upload_tasks

    with open_project(home) as opened, open_studio(opened) as client:
        take_lexicon(opened, lexicon)
        reconcile(opened.database, opened.project, client, split=split_rule(opened.settings))
        project = opened.reload()
        with progress_bar("push") as advance:

            def report(what: str, done: int, total: int) -> None:
                advance(done, total, what)

            n_uploaded = upload_tasks(opened.database, project, client, on_progress=report)
            with opened.database.read() as session:
                version = active_version(session, project.id)
            published, problem, warmed = None, None, None
            if version is None:
                warmed = publish_warmup(
                    opened.database,
                    project,
                    client,
                    warmup_of(opened.settings),
                    on_progress=report,
                )
                problem = "not compared: there is no model yet" if check_next else None
            if version is not None:
                predictor = opened.predictor_of(version)
                published = publish_version(
                    opened.database,
                    project,
                    client,
                    version,
                    predictor,
                    queue=queue_settings(opened.settings),
                    engine=make_engine(opened.settings, load=lambda _version: predictor()),
                    on_progress=report,
                )
                if check_next:
                    problem = verify_next(opened.database, project, client, version)
    lines = [f"{n_uploaded} tasks uploaded"]
    if published is None:
        lines.append("no active model, so no predictions; annotator retrain --wait makes one")
        if warmed is not None and warmed.n_placed:
            lines += _told(warmed)
    else:
        lines.append(f"{published.n_pushed} predictions of {published.version} pushed")
        if not published.selected:
            lines.append("the version is not selected: Label Studio has no prediction of it")
    if check_next:
        lines.append(f"warning: {problem}" if problem else "Label Studio serves our first task")
    emit(
        {
            "n_uploaded": n_uploaded,
            "version": published.version if published else None,
            "n_pushed": published.n_pushed if published else 0,
            "selected": published.selected if published else False,
            "next_problem": problem,
            "warmup": warmed and {name: getattr(warmed, name) for name in warmed.__slots__},
        },
        lines,
        as_json=as_json,
    )


def _told(warmed: WarmupReport) -> list[str]:
    lines = [f"{warmed.n_placed} tasks put in the order of the warm-up ({warmed.name})"]
    if warmed.n_regions:
        lines.append(
            f"the lexicon draws {warmed.n_regions} regions in them; {warmed.n_seeds} tasks are "
            "there for types with few labels"
        )
    return lines


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("push")(push)
