"""Handing predictions of open tasks to Label Studio: each once, even after a kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.domain import Entity, Relation
from annotator.errors import StudioError
from annotator.services.inference.predictions import studio_prediction
from annotator.store.database import Database
from annotator.store.documents import shown_of
from annotator.store.projects import Project, audit
from annotator.store.selections import queue_head
from annotator.store.tasks import OpenTask, find_task, task_by_id
from annotator.store.versions import ModelVersion
from annotator.studio.client import StudioClient, StudioProject
from annotator.studio.config import LabelConfig
from annotator.studio.page import Page, PlainPage, compose_data, open_page

__all__ = ["Handed", "hand_over", "verify_next"]

_FEW = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """A task with the labels it is to show.

    Attributes:
        task: The task.
        score: Its place: the lowest is served first.
        labels: What is drawn; offsets count in the task's text.
        mark: Words that stand in the details of each region, of where it comes from.
    """

    task: OpenTask
    score: float
    labels: tuple[Sequence[Entity], Sequence[Relation]]
    mark: str | None = None


def hand_over(
    database: Database,
    client: StudioClient,
    studio_project: int,
    *,
    version: str,
    config: LabelConfig,
    part: Sequence[Handed],
) -> None:
    """Store predictions under the name ``version``, but for those that are there already.

    Raises:
        StudioError: if Label Studio took fewer than were sent.
    """
    if not part:
        return
    there = _handed_before(client, studio_project, version, part)
    items = [
        _item(database, one, version=version, config=config)
        for one in part
        if one.task.id not in there
    ]
    created = client.push_predictions(studio_project, items)
    if created != len(items):
        raise StudioError(
            f"sent {len(items)} predictions of {version} to project {studio_project}, "
            f"Label Studio took {created}: its labels differ from ours; run annotator connect again"
        )


def _item(database: Database, one: Handed, *, version: str, config: LabelConfig) -> dict[str, Any]:
    prediction = studio_prediction(
        text=_page_of(database, one.task, config),
        config=config,
        version=version,
        score=one.score,
        labels=one.labels,
    )
    if one.mark is not None:
        for region in prediction["result"]:
            region["meta"] = {"text": [one.mark]}
    return {"task": one.task.studio_id, **prediction}


def _handed_before(
    client: StudioClient, studio_project: int, version: str, part: Sequence[Handed]
) -> set[int]:
    """Return which tasks have a prediction: of a push that was killed before it was noted.

    Label Studio stores doubles. To look at all tasks of a large part costs as much as to push it,
    so three are looked at first.
    """

    def has_one(task: Mapping[str, Any]) -> bool:
        return any(p.get("model_version") == version for p in task.get("predictions") or ())

    ours = {one.task.studio_id: one.task.id for one in part}
    if len(part) > _FEW:
        probes = [part[i].task.studio_id for i in (0, len(part) // 2, -1)]
        if not any(has_one({"predictions": client.predictions(one)}) for one in probes):
            return set()
    return {
        ours[task["id"]] for task in client.tasks_of(studio_project, list(ours)) if has_one(task)
    }


def _page_of(database: Database, task: OpenTask, config: LabelConfig) -> Page:
    """Open what the task shows; one that we made shows its text in the plainest way."""
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


_SAMPLING = "Uncertainty sampling"


def verify_next(
    database: Database, project: Project, client: StudioClient, version: ModelVersion
) -> str | None:
    """Ask Label Studio for its next task and compare it with ours; return what differs, or None.

    The answer stands in the audit trail, and ``annotator status`` shows the newest. Label Studio
    locks the task that it serves for the user of our token, as it does for people, and serves it to
    nobody else for a day: ask when somebody wants to know, not by routine.

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


def _reason(remote: StudioProject, version: ModelVersion, *, is_open: bool, is_served: bool) -> str:
    if remote.sampling != _SAMPLING:
        return f"the project's sampling is {remote.sampling!r}; run annotator connect again"
    if remote.model_version != version.name:
        return f"version {remote.model_version!r} is selected there; run annotator push"
    if not is_served:
        return "it has nothing to label for the token's user; run annotator sync"
    if not is_open:
        return "we believe that one to be done; run annotator sync"
    return (
        "the token's user has opened that one before and is served it again, somebody else has "
        "opened ours (both for a day), or tasks wait for a second annotator, which come first"
    )
