"""``annotator push``: tasks, predictions and order to Label Studio, now."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from annotator.cli.lexicon import take_lexicon
from annotator.cli.options import HomeOption, JsonOption, LexiconOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import OpenProject, emit, open_project, open_studio
from annotator.counted import counted

if TYPE_CHECKING:
    from annotator.services.queue.cold_start import WarmupReport
    from annotator.services.queue.publish import PublishReport
    from annotator.store.projects import Project
    from annotator.store.versions import ModelVersion
    from annotator.studio.client import StudioClient

__all__ = ["push"]

_Report = Callable[[str, int, int], None]
_CheckNext = Annotated[
    bool,
    typer.Option(
        "--check-next",
        help="Ask Label Studio for its next task and compare; locks that task for a day.",
    ),
]


def push(
    check_next: _CheckNext = False,
    lexicon: LexiconOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Upload tasks, predictions and their order to Label Studio.

    A running worker does this by itself. What Label Studio has already is not sent again. While
    there is no model, the first tasks are spread over the text, with a lexicon's terms drawn.

    Example: annotator push --check-next
    """
    published, warmed, problem = None, None, None
    with open_project(home) as opened, open_studio(opened) as client:
        take_lexicon(opened, lexicon)
        project = _pull(opened, client)
        with progress_bar("push") as advance:

            def report(what: str, done: int, total: int) -> None:
                advance(done, total, what)

            n_uploaded, version = _upload(opened, project, client, report)
            if version is None:
                warmed = _warm_up(opened, project, client, report)
                problem = "not compared: there is no model yet" if check_next else None
            else:
                published = _publish(opened, project, client, version, report)
                problem = _look_at_next(opened, project, client, version) if check_next else None
    lines = _lines(n_uploaded, published, warmed)
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


def _pull(opened: OpenProject, client: StudioClient) -> Project:
    from annotator.services.queue.room_settings import split_rule
    from annotator.services.sync.pull import reconcile
    from annotator.store.pushes import forget_refusals

    reconcile(opened.database, opened.project, client, split=split_rule(opened.settings))
    with opened.database.write() as session:
        forget_refusals(session, opened.project.id)
    return opened.reload()


def _upload(
    opened: OpenProject, project: Project, client: StudioClient, report: _Report
) -> tuple[int, ModelVersion | None]:
    """Upload tasks; return how many are new in Label Studio, and the version that predicts them."""
    from annotator.services.sync.upload import upload_tasks
    from annotator.store.versions import active_version

    n_uploaded = upload_tasks(opened.database, project, client, on_progress=report)
    with opened.database.read() as session:
        return n_uploaded, active_version(session, project.id)


def _warm_up(
    opened: OpenProject, project: Project, client: StudioClient, report: _Report
) -> WarmupReport:
    from annotator.services.queue.cold_start import publish_warmup
    from annotator.services.queue.room_settings import warmup_of

    return publish_warmup(
        opened.database, project, client, warmup_of(opened.settings), on_progress=report
    )


def _publish(
    opened: OpenProject,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    report: _Report,
) -> PublishReport:
    from annotator.services.inference.compute import make_engine
    from annotator.services.queue.publish import publish_version
    from annotator.services.queue.room_settings import queue_settings

    predictor = opened.predictor_of(version)
    return publish_version(
        opened.database,
        project,
        client,
        version,
        predictor,
        queue=queue_settings(opened.settings),
        engine=make_engine(opened.settings, load=lambda _version: predictor()),
        on_progress=report,
    )


def _look_at_next(
    opened: OpenProject, project: Project, client: StudioClient, version: ModelVersion
) -> str | None:
    from annotator.services.queue.publish import verify_next

    return verify_next(opened.database, project, client, version)


def _lines(
    n_uploaded: int, published: PublishReport | None, warmed: WarmupReport | None
) -> list[str]:
    lines = [f"{counted(n_uploaded, 'task')} uploaded"]
    if published is None:
        lines.append("no active model, so no predictions; annotator retrain --wait makes one")
        if warmed is not None and warmed.n_placed:
            lines += _told(warmed)
        return lines
    lines.append(f"{counted(published.n_pushed, 'prediction')} of {published.version} pushed")
    if not published.selected:
        lines.append("the version is not selected: Label Studio has no prediction of it")
    return lines


def _told(warmed: WarmupReport) -> list[str]:
    lines = [f"{counted(warmed.n_placed, 'task')} put in the order of the warm-up ({warmed.name})"]
    if warmed.n_regions:
        lines.append(
            f"the lexicon draws {counted(warmed.n_regions, 'region')} in them; "
            f"{counted(warmed.n_seeds, 'task')} for types with few labels"
        )
    return lines
