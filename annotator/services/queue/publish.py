"""Publishing a model version to Label Studio: its predictions of open tasks, and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from annotator.services.inference.predictions import labels_of_task, to_text_sentences
from annotator.services.models.learning_curve import note_learning
from annotator.services.queue.order import QueueSettings, TaskOrder, order_tasks, scores_among
from annotator.services.queue.score import labelled_embeddings, refresh_costs, score_open_tasks
from annotator.services.sync.connect import UNCERTAINTY
from annotator.services.sync.predictions import (
    Labels,
    Place,
    PushTarget,
    open_target,
    push_predictions,
)
from annotator.services.sync.upload import has_uploads
from annotator.store.database import Database
from annotator.store.projects import Project, audit
from annotator.store.pushes import (
    has_pushes,
    has_unpushed,
    lowest_score,
    move_pushes,
    pushed_scores,
    record_pushes,
    unpushed_task_ids,
)
from annotator.store.selections import add_choices, log_selection, queue_head
from annotator.store.tasks import OpenTask, find_task, open_tasks
from annotator.store.versions import ModelVersion, predictions_for
from annotator.studio.client import StudioClient, StudioProject

if TYPE_CHECKING:  # nothing heavy is loaded before there is something to predict
    from sqlalchemy.orm import Session

    from annotator.model import Predictor
    from annotator.services.inference.compute import Engine

__all__ = [
    "PublishReport",
    "is_publish_due",
    "order_problem",
    "publish_version",
    "push_order",
    "serve_first",
    "verify_next",
]

_PUSH_CHUNK = 1000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """Number of predictions pushed, and whether the version is the selected one."""

    version: str
    n_open: int
    n_pushed: int
    selected: bool


def is_publish_due(database: Database, project: Project, version: ModelVersion | None) -> bool:
    """Return whether there is text to upload, or an open task without this version's prediction."""
    if has_uploads(database, project):
        return True
    if version is None:
        return False
    with database.read() as session:
        return has_unpushed(session, project.id, version_id=version.id)


def publish_version(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    predictor: Callable[[], Predictor],
    *,
    queue: QueueSettings,
    engine: Engine | None = None,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> PublishReport:
    """Score the open tasks, put them in order, push both, then select the version.

    Each step does only what is left, so this may be called again at any time. Texts are read,
    scored and pushed in shards; of the whole pool only numbers are in memory.

    ``predictor`` loads the model and is called only if there is something to predict. ``engine``
    scores the pool; None scores it in this process. ``on_progress`` receives the current step,
    the number done and the total.

    Raises:
        ConfigError: as ``open_target`` does.
        JobError: if the engine gives up.
        StudioError: if Label Studio accepted fewer predictions than were sent; nothing of that
            request is recorded as pushed.
    """
    target = open_target(database, project, client)
    with database.read() as session:
        is_missing = has_unpushed(session, project.id, version_id=version.id)
    n_open = n_pushed = 0
    if is_missing:
        labelled = labelled_embeddings(database, project.id, version.id, predictor)
        score_open_tasks(
            database,
            project.id,
            version,
            predictor,
            strategy=queue.strategy,
            labelled=labelled,
            engine=engine,
            on_progress=lambda done, total: on_progress("predict", done, total),
        )
        _measure(database, project.id, version, seed=queue.seed)
        order = order_tasks(database, project.id, version.id, labelled=labelled, settings=queue)
        n_open = order.n_open
        n_pushed = push_order(
            database, project.id, client, target, version, order, on_progress=on_progress
        )
    selected = _select(database, client, target, version)
    return PublishReport(version=version.name, n_open=n_open, n_pushed=n_pushed, selected=selected)


def _measure(database: Database, project_id: int, version: ModelVersion, *, seed: int) -> None:
    """Measure a version on the scored pool, and fit label costs to people's times."""
    refresh_costs(database, project_id)
    note_learning(database, project_id, version, seed=seed)


def push_order(
    database: Database,
    project_id: int,
    client: StudioClient,
    target: PushTarget,
    version: ModelVersion,
    order: TaskOrder,
    *,
    on_progress: Progress = lambda _what, _done, _total: None,
) -> int:
    """Push the part of an order that Label Studio lacks; return the number of tasks.

    A task's place is logged, and the task marked as pushed, once Label Studio has it. Tasks pushed
    before keep their scores, and the others get scores that put each at its rank among them. Tasks
    that came after the scoring wait for the next push.

    Raises:
        StudioError: as ``push_predictions`` does.
    """
    n_missing, places = _missing_places(database, project_id, version, order)

    def labels_of(tasks: Sequence[OpenTask]) -> list[Labels | None]:
        return _predicted_labels(database, version.id, tasks)

    query_id: int | None = None
    n_pushed = 0
    for sent in push_predictions(
        database,
        project_id,
        client,
        target,
        places,
        version=version.name,
        labels_of=labels_of,
        size=_PUSH_CHUNK,
    ):
        if not sent.taken:
            continue
        with database.write() as session:
            query_id = query_id or _log_order(session, project_id, version.id, order)
            add_choices(session, query_id, [place.choice for place in sent.taken])
            record_pushes(
                session,
                project_id,
                version_id=version.id,
                scores={place.choice.task_id: place.score for place in sent.taken},
            )
        n_pushed += len(sent.taken)
        on_progress("push", n_pushed, n_missing)
    return n_pushed


def _missing_places(
    database: Database, project_id: int, version: ModelVersion, order: TaskOrder
) -> tuple[int, Iterator[Place]]:
    """Count the tasks that Label Studio lacks; their places have scores among those it has."""
    with database.read() as session:
        missing = np.array(unpushed_task_ids(session, project_id, version_id=version.id))
        pushed = pushed_scores(session, version.id)
    ranks = np.flatnonzero(np.isin(order.task_ids, missing))
    scores = scores_among(order.task_ids, pushed, ranks)
    return len(ranks), (
        Place(choice=order.choice(rank), score=score)
        for rank, score in zip(ranks.tolist(), scores.tolist(), strict=True)
    )


def _predicted_labels(
    database: Database, version_id: int, tasks: Sequence[OpenTask]
) -> list[Labels | None]:
    hashes = {s.text_hash for task in tasks for s in task.sentences}
    with database.read() as session:
        found = predictions_for(session, version_id, hashes)
    return [
        labels_of_task(to_text_sentences(task.sentences, region_start=task.region[0]), found)
        if all(s.text_hash in found for s in task.sentences)
        else None
        for task in tasks
    ]


def _log_order(session: Session, project_id: int, version_id: int, order: TaskOrder) -> int:
    return log_selection(
        session,
        project_id,
        version_id=version_id,
        strategy=order.strategy,
        seed=order.seed,
        n_pool=order.n_pool,
    )


def _select(
    database: Database, client: StudioClient, target: PushTarget, version: ModelVersion
) -> bool:
    """Select a version in Label Studio if it has predictions of it; True if it is selected."""
    if target.selected == version.name:
        return True
    with database.read() as session:
        is_there = has_pushes(session, version.id)
    if is_there:
        client.select_version(target.number, version.name)
    return is_there


def serve_first(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    order: TaskOrder,
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[int]:
    """Make Label Studio serve the tasks of an order before all others, in that order.

    Their predictions stay the same but get lower scores than those of all other open tasks. Tasks
    whose prediction Label Studio does not have are left out. ``on_progress`` receives the number
    of tasks done and the total.

    Returns:
        Label Studio's ids of the tasks that were moved, in the new order.

    Raises:
        ConfigError: if the project is not connected.
        StudioError: if Label Studio cannot be reached; tasks done before keep their new places.
    """
    project.link()
    wanted = order.task_ids.tolist()
    with database.read() as session:
        found = {task.id: task for task in open_tasks(session, project.id, task_ids=wanted)}
        before = lowest_score(session, version.id, without=wanted)
    scores: dict[int, float] = {}
    for rank, task_id in enumerate(wanted):
        score = before * order.score(rank)
        if task_id in found and _rescore(client, found[task_id].studio_id, version.name, score):
            scores[rank] = score
        on_progress(rank + 1, len(wanted))
    with database.write() as session:
        move_pushes(session, version.id, {wanted[rank]: score for rank, score in scores.items()})
        query_id = _log_order(session, project.id, version.id, order)
        add_choices(session, query_id, [order.choice(rank) for rank in scores])
    return [found[wanted[rank]].studio_id for rank in scores]


def _rescore(client: StudioClient, studio_id: int, version: str, score: float) -> bool:
    """Rescore a task's predictions by a version; return whether it has any."""
    stored = client.predictions(studio_id)
    ours = [int(p["id"]) for p in stored if p.get("model_version") == version]
    for prediction_id in ours:
        client.rescore_prediction(prediction_id, score)
    return bool(ours)


def verify_next(
    database: Database, project: Project, client: StudioClient, version: ModelVersion
) -> str | None:
    """Compare Label Studio's next task with ours; return how they differ, or None.

    The answer is kept in the audit trail, and ``annotator status`` shows the newest. Label Studio
    locks the task it serves for the user of our token, as it does for people, and serves it to
    nobody else for a day: call this on request, not routinely.

    Raises:
        StudioError: if Label Studio cannot be reached.
    """
    if project.studio is None:
        return None
    remote = client.project(project.studio.project_id)
    served = client.next_task(project.studio.project_id)
    studio_id = None if served is None else int(served["id"])
    with database.read() as session:
        head = queue_head(session, project.id, version_id=version.id, limit=1)
        ours = head[0]["task"] if head else None
        known = None if studio_id is None else find_task(session, project.id, studio_id=studio_id)
    problem = None
    if studio_id != ours:
        state = None if known is None else known.state
        problem = f"Label Studio serves task {studio_id}, we would show task {ours}: " + (
            _reason(remote, version, is_open=state == "open", is_served=studio_id is not None)
        )
    with database.write() as session:
        audit(
            session,
            project.id,
            actor="publish",
            action="verify_next",
            version=version.name,
            task=studio_id,
            expected=ours,
            problem=problem,
        )
    return problem


def order_problem(remote: StudioProject, version: ModelVersion) -> str | None:
    """Say why Label Studio serves another order than that of ``version``; None if it does not."""
    if remote.sampling != UNCERTAINTY:
        return (
            f"Label Studio's order is not ours: the project's sampling is {remote.sampling!r}; run "
            "annotator connect again"
        )
    if remote.model_version != version.name:
        return (
            f"Label Studio's order is not ours: version {remote.model_version!r} is selected there,"
            f" not {version.name}; run annotator push"
        )
    return None


def _reason(remote: StudioProject, version: ModelVersion, *, is_open: bool, is_served: bool) -> str:
    if (problem := order_problem(remote, version)) is not None:
        return problem
    if not is_served:
        return "it has nothing to label for the token's user; run annotator sync"
    if not is_open:
        return "we believe that one to be done; run annotator sync"
    return (
        "the token's user has opened that one before and is served it again, somebody else has "
        "opened ours (both for a day), or tasks wait for a second annotator, which come first"
    )
