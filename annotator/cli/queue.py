"""``annotator next`` and ``why``: what is shown next, and the reason."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from annotator.cli.project import HomeOption, JsonOption, emit, open_project
from annotator.errors import NotFoundError
from annotator.store.queries import latest_choice
from annotator.store.tasks import find_task

__all__ = ["register"]


def next_(
    n: Annotated[int, typer.Option("-n", min=1, help="How many tasks.")] = 10,
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="Another query strategy, for a look.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which tasks the active model would have labelled next.

    Example: annotator next -n 20
    """
    from annotator.jobs.tend import queue_settings
    from annotator.services.publish import order_pool
    from annotator.services.registry import load_version

    with open_project(home, strategy=strategy) as opened:
        version = opened.version()
        ordered = order_pool(
            opened.database,
            opened.project,
            version,
            load_version(
                version, device=opened.settings.device, precision=opened.settings.precision
            ),
            queue=queue_settings(opened.settings),
        ).tasks
    rows: list[dict[str, Any]] = [
        {
            "task": o.task.studio_id,
            "document": o.task.document,
            "start": o.task.region[0],
            "rank": o.rank,
            "reason": o.reason,
            "utility": round(o.utility, 4),
            "confidence": round(o.confidence, 4),
        }
        for o in ordered[:n]
    ]
    lines = [
        f"{r['rank'] + 1:>4}. task {r['task']:<6} {r['document']}@{r['start']:<6} {r['reason']:<9}"
        f" utility {r['utility']:.3f}  confidence {r['confidence']:.2f}"
        for r in rows
    ]
    emit(
        {"version": version.name, "n_open": len(ordered), "tasks": rows},
        lines or ["no task is open; import documents and let annotator push upload them"],
        as_json=as_json,
    )


def why(
    task: Annotated[int, typer.Argument(help="The task's number in Label Studio.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a task stands where it stands in the queue.

    Example: annotator why 42
    """
    with open_project(home) as opened, opened.database.read() as session:
        ours = find_task(session, opened.project.id, studio_id=task)
        if ours is None:
            raise NotFoundError(f"task {task} is not known here; run annotator sync")
        logged = latest_choice(session, ours.id)
    if logged is None:
        value = {"task": task, "state": ours.state, "rank": None}
        emit(value, [f"task {task} ({ours.state}) was never in a queue"], as_json=as_json)
        return
    choice = logged.choice
    reasons = {
        "strategy": f"chosen by {logged.strategy}",
        "random": "drawn at random, to keep the sample honest",
        "holdout": "part of the hold-out, interleaved at random",
        "rest": f"behind the batch, in order of {logged.strategy}",
    }
    emit(
        {
            "task": task,
            "state": ours.state,
            "rank": choice.rank,
            "reason": choice.reason,
            "strategy": logged.strategy,
            "version": logged.version,
            "utility": choice.utility,
            "n_pool": logged.n_pool,
            "seed": logged.seed,
            "at": logged.created_at.isoformat(),
        },
        [
            f"task {task} ({ours.state}) was number {choice.rank + 1}: {reasons[choice.reason]}",
            f"utility {choice.utility:.4f} by {logged.version} among {logged.n_pool} candidates, "
            f"seed {logged.seed}, {logged.created_at:%Y-%m-%d %H:%M} UTC",
        ],
        as_json=as_json,
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("next")(next_)
    app.command("why")(why)
