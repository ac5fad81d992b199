"""Our predictions in Label Studio: each pushed once, even after a kill, and pruned later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from annotator.domain import Entity, Relation
from annotator.errors import ConfigError, StudioError
from annotator.services.inference.predictions import studio_prediction
from annotator.services.sync.annotations import parent_of
from annotator.services.sync.identity import prove_identity
from annotator.store.database import Database
from annotator.store.documents import shown_of
from annotator.store.projects import Project, current_config_xml
from annotator.store.prune import (
    delete_predictions,
    forget_pushes,
    parent_predictions,
    pushed_tasks,
    versions_to_prune,
)
from annotator.store.pushes import record_refusals
from annotator.store.selections import Choice
from annotator.store.tasks import OpenTask, open_tasks, task_by_id
from annotator.store.versions import ModelVersion
from annotator.studio.client import StudioClient
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.page import Page, PlainPage, compose_data, open_page

__all__ = [
    "Labels",
    "Place",
    "PruneReport",
    "PushTarget",
    "Sent",
    "open_target",
    "prune_predictions",
    "push_predictions",
]

_FEW = 500
_REFUSED = 400  # HTTP status of a request that names a task which is not there
_ROWS = 20_000  # per round, in our tables
_ROWS_AT_ONCE = 1_000  # bounds how long other writers wait
_TASKS = 100  # per round, in Label Studio: two requests each, which block others there

Labels = tuple[Sequence[Entity], Sequence[Relation]]

# ---------------------------------------------------------------- put there


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    """The project in Label Studio: its id, the version it shows, and its labels."""

    number: int
    selected: str
    config: LabelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A task's place in an order, and the score that keeps it: the lowest is served first."""

    choice: Choice
    score: float


def open_target(database: Database, project: Project, client: StudioClient) -> PushTarget:
    """Read the project in Label Studio before anything is pushed there.

    Raises:
        ConfigError: if the project is not connected, or its labels are of a kind we cannot serve.
        StudioIdentityError: if another project answers there.
        StudioError: if Label Studio cannot be reached.
    """
    remote = prove_identity(database, project, client)
    with database.read() as session:
        xml = current_config_xml(session, project.id)
    config = parse_config(xml or remote.config_xml)
    return PushTarget(number=remote.id, selected=remote.model_version, config=config)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of a request: places that Label Studio now has, and tasks that it refuses."""

    taken: Sequence[Place]
    refused: Sequence[int]


def push_predictions(
    database: Database,
    project_id: int,
    client: StudioClient,
    target: PushTarget,
    places: Iterable[Place],
    *,
    version: str,
    labels_of: Callable[[Sequence[OpenTask]], Sequence[Labels | None]],
    size: int,
    mark: str | None = None,
) -> Iterator[Sent]:
    """Push predictions of open tasks under the name ``version``, ``size`` per request.

    ``places`` are pushed in their order. ``labels_of`` returns the labels of tasks, with offsets
    in each task's text; None leaves a task out for now. ``mark`` names the origin in the details of
    each region. Tasks that Label Studio refuses are noted, and not tried again under ``version``
    until ``forget_refusals``.

    Yields:
        What Label Studio now has, for the caller to record: the next push checks for any that were
        not recorded, and does not send them again. Tasks labelled meanwhile are left out.

    Raises:
        StudioError: if Label Studio refuses all of several predictions.
    """
    waiting = iter(places)
    while part := {place.choice.task_id: place for place in islice(waiting, size)}:
        with database.read() as session:
            found = {t.id: t for t in open_tasks(session, project_id, task_ids=list(part))}
        tasks = [found[task_id] for task_id in part if task_id in found]
        there = _pushed_before(client, target, version, tasks)
        labelled = zip(tasks, labels_of(tasks), strict=True)
        items = {
            task.id: _item(
                database, task, target.config, version, part[task.id].score, labels, mark
            )
            for task, labels in labelled
            if labels is not None and task.id not in there
        }
        refused = _send(client, target.number, version, items)
        with database.write() as session:
            record_refusals(session, refused, version=version)
        taken = there | items.keys() - set(refused)
        yield Sent(taken=[part[t.id] for t in tasks if t.id in taken], refused=refused)


def _send(
    client: StudioClient, studio_project: int, version: str, items: Mapping[int, dict[str, Any]]
) -> list[int]:
    """Send the predictions of tasks, and return which of these tasks Label Studio refuses."""
    ours = {int(item["task"]): task_id for task_id, item in items.items()}
    gone: set[int] = set()
    try:
        created = client.push_predictions(studio_project, list(items.values()))
    except StudioError as error:
        if error.status != _REFUSED:
            raise
        # One task that is gone there fails the request: nothing of it is stored.
        gone = ours.keys() - {int(t["id"]) for t in client.tasks_of(studio_project, list(ours))}
        if not gone:
            raise
        rest = [item for item in items.values() if item["task"] not in gone]
        created = client.push_predictions(studio_project, rest)
    left = ours.keys() - gone
    dropped: set[int] = set()
    if created != len(left):
        found = client.tasks_of(studio_project, list(left))
        dropped = left - {int(task["id"]) for task in found if _has_one(task, version)}
    if len(dropped) == len(left) > 1:
        raise StudioError(
            f"Label Studio refuses all {len(left)} predictions of {version} sent to project "
            f"{studio_project}: its labels differ from ours; run annotator connect again"
        )
    return sorted(ours[studio_id] for studio_id in gone | dropped)


def _item(
    database: Database,
    task: OpenTask,
    config: LabelConfig,
    version: str,
    score: float,
    labels: Labels,
    mark: str | None,
) -> dict[str, Any]:
    prediction = studio_prediction(
        text=_page_of(database, task, config),
        config=config,
        version=version,
        score=score,
        labels=labels,
    )
    if mark is not None:
        for region in prediction["result"]:
            region["meta"] = {"text": [mark]}
    return {"task": task.studio_id, **prediction}


def _pushed_before(
    client: StudioClient, target: PushTarget, version: str, tasks: Sequence[OpenTask]
) -> set[int]:
    """Return which tasks have a prediction already, from a push killed before it was recorded.

    Label Studio stores duplicates. Checking all tasks of a large chunk costs as much as pushing
    it, so three are checked first. A prediction that was made for another configuration is
    removed: Label Studio cannot show it.
    """
    ours = {task.studio_id: task.id for task in tasks}
    if len(tasks) > _FEW:
        probes = [tasks[i].studio_id for i in (0, len(tasks) // 2, -1)]
        if not any(_has_one({"predictions": client.predictions(one)}, version) for one in probes):
            return set()
    there = set()
    for task in client.tasks_of(target.number, list(ours)):
        for prediction in task.get("predictions") or ():
            if prediction.get("model_version") != version:
                continue
            if _fits(prediction, target.config):
                there.add(ours[task["id"]])
            else:
                client.delete_prediction(int(prediction["id"]))
    return there


def _has_one(task: Mapping[str, Any], version: str) -> bool:
    return any(p.get("model_version") == version for p in task.get("predictions") or ())


def _fits(prediction: Mapping[str, Any], config: LabelConfig) -> bool:
    """Return whether a prediction names tags that the configuration has."""
    return all(
        item.get("from_name") in config.control_names and item.get("to_name") == config.text_name
        for item in prediction.get("result") or ()
        if item.get("type") != "relation"
    )


def _page_of(database: Database, task: OpenTask, config: LabelConfig) -> Page:
    """Open what the task shows; for a task we made, its text in the plainest form."""
    text = _text_of(database, task)
    if config.layout == "text":
        return PlainPage(text)
    with database.read() as session:
        shown = shown_of(session, task.document_id)
    is_whole = task.region == (0, len(text))
    if shown is None or not is_whole:
        shown = compose_data(text, config)
    return open_page({config.text_field: shown}, config)


def _text_of(database: Database, task: OpenTask) -> str:
    first = task.sentences[0] if len(task.sentences) == 1 else None
    if first is not None and task.region == (first.start, first.end):
        return first.text
    with database.read() as session:
        return task_by_id(session, task.id).text


# ---------------------------------------------------------------- taken away


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneReport:
    """What a round removed. ``n_kept`` predictions in Label Studio stand behind an annotation."""

    n_rows: int = 0
    n_tasks: int = 0
    n_kept: int = 0

    @property
    def is_done(self) -> bool:
        """Whether there was nothing left to do."""
        return not self.n_rows and not self.n_tasks


def prune_predictions(
    database: Database, project: Project, client: StudioClient | None, *, keep: int
) -> PruneReport:
    """Remove a bounded number of old versions' predictions, here and in Label Studio.

    Predictions of the active version and of those active before it, ``keep`` in all, are kept;
    those of candidates and of running versions are not touched. A prediction that an annotation
    in Label Studio started from stays there, because deleting it would cut the link.

    A round is short, so that other work can run in between; a killed round is repeated. Promoting
    a version again recreates its predictions. ``keep`` is at least 1; without a ``client`` only our
    tables are pruned.

    Raises:
        StudioError: if Label Studio cannot be reached.
    """
    if keep < 1:
        raise ConfigError("keep_predictions must be 1 or more: the version in use is never pruned")
    with database.read() as session:
        old = versions_to_prune(session, project.id, keep=keep)
    n_tasks = n_kept = n_rows = 0
    for version in old:
        if client is not None and n_tasks < _TASKS:
            done, kept = _prune_studio(database, project.id, client, version, most=_TASKS - n_tasks)
            n_tasks, n_kept = n_tasks + done, n_kept + kept
        while n_rows < _ROWS:
            with database.write() as session:
                n = delete_predictions(session, version.id, limit=_ROWS_AT_ONCE)
            n_rows += n
            if not n:
                break
    return PruneReport(n_rows=n_rows, n_tasks=n_tasks, n_kept=n_kept)


def _prune_studio(
    database: Database, project_id: int, client: StudioClient, version: ModelVersion, *, most: int
) -> tuple[int, int]:
    with database.read() as session:
        tasks = pushed_tasks(session, project_id, version.id, limit=most)
    kept = 0
    for task_id, studio_id in tasks.items():
        # None: deleted, and its predictions with it
        there = None if studio_id is None else client.task(studio_id)
        with database.read() as session:
            parents = parent_predictions(session, task_id)
        for one in (there or {}).get("annotations") or ():
            parents.add(parent_of(one) or 0)
        for prediction in (there or {}).get("predictions") or ():
            if prediction.get("model_version") != version.name:
                continue
            if int(prediction["id"]) in parents:
                kept += 1
            else:
                client.delete_prediction(int(prediction["id"]))
    with database.write() as session:
        forget_pushes(session, version.id, list(tasks))
    return len(tasks), kept
