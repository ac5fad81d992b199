"""What Label Studio is given of a model version: its predictions of open tasks, and their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotator.errors import ConfigError
from annotator.model import Predictor
from annotator.services.inference.compute import Engine, LocalEngine
from annotator.services.inference.predictions import labels_of_task, to_text_sentences
from annotator.services.inference.scoring import score_pool
from annotator.services.models.learning_curve import note_learning
from annotator.services.queue.costs import ranking_cost, refresh_costs
from annotator.services.queue.order import (
    QueueSettings,
    TaskOrder,
    labelled_embeddings,
    order_tasks,
)
from annotator.services.sync.push import Handed, hand_over
from annotator.services.sync.upload import has_uploads
from annotator.store.database import Database
from annotator.store.projects import Project, StudioLink, current_config_xml
from annotator.store.selections import Choice, add_choices, log_selection
from annotator.store.tasks import (
    OpenTask,
    has_pushes,
    has_unpushed,
    open_tasks,
    record_pushes,
    unpushed_task_ids,
)
from annotator.store.versions import ModelVersion, predictions_for
from annotator.studio.client import StudioClient
from annotator.studio.config import LabelConfig, parse_config

__all__ = ["PublishReport", "is_publish_due", "publish_version"]

_PUSH_CHUNK = 1000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishReport:
    """What was done: predictions pushed, and whether the version is the selected one."""

    version: str
    n_open: int
    n_pushed: int
    selected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """A task about to be pushed, with its place in the order."""

    task: OpenTask
    rank: int
    score: float


def is_publish_due(database: Database, project: Project, version: ModelVersion | None) -> bool:
    """Tell whether there is text to upload, or an open task without this version's prediction."""
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
    on_progress: Progress | None = None,
) -> PublishReport:
    """Push the version's predictions of open tasks with their order, then select the version.

    Only tasks that lack a prediction of this version are pushed, so this may be called again at
    any time: it does what is left to do. Texts are read, scored and pushed in shards; of the pool
    as a whole there are numbers in memory.

    Args:
        database: The project's database.
        project: A connected project.
        client: Label Studio.
        version: The version to publish.
        predictor: Loads its model; called only if there is something to predict.
        queue: How the order is made.
        engine: Where the pool is scored; by default here, with ``predictor``.
        on_progress: Receives what is done, how many and of how many.

    Raises:
        JobError: if the engine gives up.
        StudioError: if Label Studio took fewer predictions than were sent; nothing of that
            request is noted as pushed.
    """
    link = _link(project)
    with database.read() as session:
        xml = current_config_xml(session, project.id)
        is_missing = has_unpushed(session, project.id, version_id=version.id)
    remote = client.project(link.project_id)
    config = parse_config(xml or remote.config_xml)
    n_open = n_pushed = 0
    if is_missing:
        engine = engine or LocalEngine(load=lambda _version: predictor())
        refresh_costs(database, project.id)
        anchors = labelled_embeddings(database, project.id, version.id, predictor)
        _score(database, project, version, engine, queue, anchors, on_progress)
        note_learning(database, project.id, version, seed=queue.seed)
        order = order_tasks(database, project.id, version.id, labelled=anchors, settings=queue)
        n_open = order.n_open
        n_pushed = _push_order(database, project, client, version, config, order, on_progress)
    selected = remote.model_version == version.name
    if not selected and (n_pushed or _has_pushes(database, version.id)):
        client.select_version(link.project_id, version.name)
        selected = True
    return PublishReport(version=version.name, n_open=n_open, n_pushed=n_pushed, selected=selected)


def _score(
    database: Database,
    project: Project,
    version: ModelVersion,
    engine: Engine,
    queue: QueueSettings,
    anchors: NDArray[np.float32],
    on_progress: Progress | None,
) -> None:
    def report(done: int, total: int) -> None:
        if on_progress is not None:
            on_progress("predict", done, total)

    score_pool(
        engine,
        database,
        project.id,
        version,
        strategy=queue.strategy,
        labelled=anchors,
        cost=ranking_cost(database, project.id, version),
        on_progress=report,
    )


def _push_order(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    config: LabelConfig,
    order: TaskOrder,
    on_progress: Progress | None,
) -> int:
    """Push what of an order Label Studio does not have, in shards; return how many tasks."""
    todo = _missing_ranks(database, project.id, version.id, order)
    with database.write() as session:
        query_id = log_selection(
            session,
            project.id,
            version_id=version.id,
            strategy=order.strategy,
            seed=order.seed,
            n_pool=order.n_pool,
        )
    n_pushed = 0
    for i in range(0, len(todo), _PUSH_CHUNK):
        part = _placed(database, project.id, order, todo[i : i + _PUSH_CHUNK].tolist())
        choices = [
            Choice(
                task_id=one.task.id,
                rank=one.rank,
                reason=order.reasons[one.rank],
                utility=float(order.utilities[one.rank]),
            )
            for one in part
        ]
        with database.write() as session:
            add_choices(session, query_id, choices)
        _push(database, project, client, version, config, part)
        n_pushed += len(part)
        if on_progress is not None:
            on_progress("push", min(i + _PUSH_CHUNK, len(todo)), len(todo))
    return n_pushed


def _missing_ranks(
    database: Database, project_id: int, version_id: int, order: TaskOrder
) -> NDArray[np.int64]:
    with database.read() as session:
        missing = np.array(unpushed_task_ids(session, project_id, version_id=version_id))
    return np.flatnonzero(np.isin(order.task_ids, missing))


def _placed(
    database: Database, project_id: int, order: TaskOrder, ranks: Sequence[int]
) -> list[_Placed]:
    by_id = {int(order.task_ids[rank]): rank for rank in ranks}
    with database.read() as session:  # those that have been labelled meanwhile are not found
        found = open_tasks(session, project_id, task_ids=list(by_id))
    placed = [
        _Placed(task=task, rank=by_id[task.id], score=order.score(by_id[task.id])) for task in found
    ]
    return sorted(placed, key=lambda one: one.rank)


def _push(
    database: Database,
    project: Project,
    client: StudioClient,
    version: ModelVersion,
    config: LabelConfig,
    part: Sequence[_Placed],
) -> None:
    link = _link(project)
    if not part:
        return
    hashes = {s.text_hash for o in part for s in o.task.sentences}
    with database.read() as session:
        predictions = predictions_for(session, version.id, hashes)
    handed = [
        Handed(
            task=one.task,
            score=one.score,
            labels=labels_of_task(
                to_text_sentences(one.task.sentences, region_start=one.task.region[0]), predictions
            ),
        )
        for one in part
    ]
    hand_over(database, client, link.project_id, version=version.name, config=config, part=handed)
    _note_pushes(database, project, version, part)


def _note_pushes(
    database: Database, project: Project, version: ModelVersion, part: Sequence[_Placed]
) -> None:
    scores = {one.task.id: one.score for one in part}
    with database.write() as session:
        record_pushes(session, project.id, version_id=version.id, scores=scores)


def _has_pushes(database: Database, version_id: int) -> bool:
    with database.read() as session:
        return has_pushes(session, version_id)


def _link(project: Project) -> StudioLink:
    if project.studio is None:
        raise ConfigError("the project is not connected to Label Studio; run annotator connect")
    return project.studio
