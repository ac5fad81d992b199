"""``annotator next`` and ``why``: what is shown next, and the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.progress import progress_bar
from annotator.cli.project import OpenProject, emit, open_project, open_studio
from annotator.errors import NotFoundError

if TYPE_CHECKING:
    from annotator.services.queue.order import TaskOrder
    from annotator.store.database import Database
    from annotator.store.selections import Choice, LoggedChoice
    from annotator.store.versions import ModelVersion

__all__ = ["next_", "why"]


def next_(
    n: Annotated[int, typer.Option("-n", min=1, help="How many tasks.")] = 10,
    strategy: Annotated[
        str | None, typer.Option("--strategy", help="Another query strategy, for a look.")
    ] = None,
    push: Annotated[
        bool, typer.Option("--push", help="Have Label Studio serve these tasks before all others.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which tasks the active model would have labelled next.

    Example: annotator next -n 50 --strategy joint_rank --push
    """
    with open_project(home, strategy=strategy) as opened:
        from annotator.services.queue.room_settings import queue_settings
        from annotator.services.queue.sampled_order import next_tasks

        version = opened.version()
        with progress_bar("order"):
            order = next_tasks(
                opened.database,
                opened.project.id,
                version,
                opened.predictor_of(version),
                n=n,
                settings=queue_settings(opened.settings),
            )
        rows = _described(opened.database, opened.project.id, version.id, order)
        moved = _serve_first(opened, version, order) if push else None
    lines = [
        f"{r['rank'] + 1:>4}. task {r['task']:<6} {r['document']}@{r['start']:<6} {r['reason']:<9}"
        f" utility {r['utility']:.3f}  confidence {r['confidence']:.2f}"
        for r in rows
    ]
    lines = lines or ["no task is open; import documents and let annotator push upload them"]
    if moved is not None:
        lines.append(f"Label Studio serves {len(moved)} of {len(rows)} of them before all others")
        if len(moved) < len(rows):
            lines.append("it has no prediction of the others yet: run annotator push, then again")
    emit(
        {"version": version.name, "n_open": order.n_open, "tasks": rows, "moved": moved},
        lines,
        as_json=as_json,
    )


def _serve_first(opened: OpenProject, version: ModelVersion, order: TaskOrder) -> list[int]:
    from annotator.services.queue.publish import serve_first

    with open_studio(opened) as client, progress_bar("push") as advance:

        def report(done: int, total: int) -> None:
            advance(done, total, "")

        return serve_first(
            opened.database, opened.project, client, version, order, on_progress=report
        )


def _described(
    database: Database, project_id: int, version_id: int, order: TaskOrder
) -> list[dict[str, Any]]:
    """Describe each task's place and the model's confidence in it."""
    from annotator.services.inference.predictions import task_confidence, to_text_sentences
    from annotator.store.tasks import open_tasks
    from annotator.store.versions import predictions_for

    with database.read() as session:
        found = open_tasks(session, project_id, task_ids=order.task_ids.tolist())
        hashes = [s.text_hash for task in found for s in task.sentences]
        predictions = predictions_for(session, version_id, hashes)
    tasks = {task.id: task for task in found}
    return [
        {
            "task": tasks[task_id].studio_id,
            "document": tasks[task_id].document,
            "start": tasks[task_id].region[0],
            "rank": rank,
            "reason": reason,
            "utility": round(float(utility), 4),
            "confidence": round(
                task_confidence(
                    to_text_sentences(tasks[task_id].sentences, region_start=0), predictions
                ),
                4,
            ),
        }
        for rank, (task_id, reason, utility) in enumerate(
            zip(order.task_ids.tolist(), order.reasons, order.utilities, strict=True)
        )
        if task_id in tasks
    ]


def why(
    task: Annotated[int, typer.Argument(help="The task's number in Label Studio.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a task stands where it stands in the queue.

    Example: annotator why 42
    """
    with open_project(home) as opened, opened.database.read() as session:
        from annotator.store.selections import latest_choice
        from annotator.store.tasks import find_task

        ours = find_task(session, opened.project.id, studio_id=task)
        if ours is None:
            raise NotFoundError(f"task {task} is not known here; run annotator sync")
        logged = latest_choice(session, ours.id)
    if logged is None:
        value = {"task": task, "state": ours.state, "rank": None}
        emit(value, [f"task {task} ({ours.state}) was never in a queue"], as_json=as_json)
        return
    choice = logged.choice
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
            f"task {task} ({ours.state}) was number {choice.rank + 1}: {_reason_of(logged)}",
            f"{_utility_of(logged)} among {logged.n_pool} candidates, "
            f"seed {logged.seed}, {logged.created_at:%Y-%m-%d %H:%M} UTC",
        ],
        as_json=as_json,
    )


def _reason_of(logged: LoggedChoice) -> str:
    choice = logged.choice
    return {
        "strategy": f"chosen by {logged.strategy}",
        "random": "drawn at random, to keep the sample honest",
        "holdout": "part of the hold-out, interleaved at random",
        "rest": f"behind the batch, in order of {logged.strategy}",
        "warmup": "drawn at random while few were labelled, spread over what the text is about",
        "seed": f"the lexicon finds a type with few labels in it: {_types_of(choice)}",
        "repeat": "at the end: much like something that is labelled or comes before it",
    }[choice.reason]


def _types_of(choice: Choice) -> str:
    return ", ".join(choice.parts.get("types", ()))


def _utility_of(logged: LoggedChoice) -> str:
    if logged.version is None or logged.choice.utility is None:
        return f"without a model ({logged.strategy})"
    return f"utility {logged.choice.utility:.4f} by {logged.version}"
