"""Tasks that somebody wants to see next, whatever their place in the queue."""

from __future__ import annotations

from collections.abc import Callable

from annotator.errors import ConfigError
from annotator.services.queue.order import TaskOrder
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.selections import Choice, log_selection, lowest_score, move_pushes
from annotator.store.tasks import open_tasks
from annotator.store.versions import ModelVersion
from annotator.studio.client import StudioClient

__all__ = ["serve_first"]


def serve_first(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    order: TaskOrder,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[int]:
    """Make Label Studio serve the tasks of an order before all others, in that order.

    Their predictions stay what they are and get lower scores than any other open task's. Tasks
    whose prediction Label Studio does not have are left out.

    Args:
        database: The project's database.
        project: A connected project.
        client: Label Studio.
        version: The version that is in use.
        order: What is to come first; all of it.
        on_progress: Receives how many tasks are done, and of how many.

    Returns:
        The numbers in Label Studio of the tasks that were moved, in the new order.

    Raises:
        ConfigError: if the project is not connected.
        StudioError: if Label Studio cannot be reached; tasks done before keep their new places.
    """
    if project.studio is None:
        raise ConfigError("the project is not connected to Label Studio; run annotator connect")
    wanted = order.task_ids.tolist()
    with database.read() as session:
        found = {task.id: task for task in open_tasks(session, project.id, task_ids=wanted)}
        before = lowest_score(session, version.id, without=wanted)
    choices, scores, moved = list[Choice](), dict[int, float](), list[int]()
    for rank, task_id in enumerate(wanted):
        if task_id in found:
            studio_id, score = found[task_id].studio_id, before * order.score(rank)
            stored = client.predictions(studio_id)
            ours = [int(p["id"]) for p in stored if p.get("model_version") == version.name]
            for prediction_id in ours:
                client.rescore_prediction(prediction_id, score)
            if ours:
                scores[task_id] = score
                moved.append(studio_id)
                choices.append(
                    Choice(
                        task_id=task_id,
                        rank=rank,
                        reason=order.reasons[rank],
                        utility=float(order.utilities[rank]),
                    )
                )
        if on_progress is not None:
            on_progress(rank + 1, len(wanted))
    with database.write() as session:
        move_pushes(session, version.id, scores)
        log_selection(
            session,
            project.id,
            version_id=version.id,
            strategy=order.strategy,
            seed=order.seed,
            n_pool=order.n_pool,
            choices=choices,
        )
    return moved
