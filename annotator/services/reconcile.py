"""The pull: makes our database equal to Label Studio's, whatever became of the webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from annotator.errors import ConfigError, ConflictError, InputError
from annotator.services.labels import SplitRule, page_of, record_studio_annotation, resolve_task
from annotator.store.annotations import mark_deleted, studio_ids
from annotator.store.database import Database
from annotator.store.projects import (
    Project,
    current_config_xml,
    current_schema,
    get_project,
    save_schema,
    set_pulled,
)
from annotator.store.tasks import find_task, known_studio_ids, mark_tasks_deleted, refresh_state
from annotator.studio.client import StudioClient
from annotator.studio.config import LabelConfig, parse_config

__all__ = ["PullReport", "reconcile"]

_OVERLAP = timedelta(seconds=30)  # clocks and transactions: look back a little further


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What a pull found. ``problems`` name tasks by id; they are looked at again once changed."""

    n_tasks: int
    n_news: int
    n_deleted_tasks: int
    n_deleted_annotations: int
    problems: tuple[str, ...]


def reconcile(
    database: Database,
    project: Project,
    client: StudioClient,
    *,
    split: SplitRule,
    full: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> PullReport:
    """Pull every task that changed since the last pull, and find what was deleted.

    Args:
        database: The project's database.
        project: A connected project.
        client: Label Studio.
        split: How tasks that are new to us are drawn into the hold-out.
        full: Look at all tasks, not only at changed ones.
        on_progress: Called with the number of tasks seen so far.

    Raises:
        StudioError: if Label Studio cannot be reached; what was pulled until then is kept.
        StoreError: if the database fails; the same.
        ConfigError: if the project is not connected.
    """
    link = project.studio
    if link is None:
        raise ConfigError("the project is not connected to Label Studio; run annotator connect")
    config = _refresh_config(database, project.id, client.project(link.project_id).config_xml)
    with database.read() as session:  # a new configuration has put it back
        until = get_project(session, project.name).pulled_until
    since = None if full or until is None else until - _OVERLAP
    newest, floor = until, None
    started = datetime.now(UTC)
    counts = {"tasks": 0, "news": 0, "gone": 0}
    problems: list[str] = []
    for task in client.tasks(link.project_id, updated_after=since):
        counts["tasks"] += 1
        newest = max(filter(None, (newest, _updated_at(task))), default=None)
        try:
            with database.write() as session:
                news, gone = _apply(session, project.id, task, config, split, started)
            counts["news"] += news
            counts["gone"] += gone
        except InputError as error:  # the same again until somebody changes it
            problems.append(str(error))
        except ConflictError as error:
            problems.append(str(error))
            floor = min(filter(None, (floor, _updated_at(task))), default=None)
        if on_progress is not None:
            on_progress(counts["tasks"])
    with database.read() as session:  # first ours: what is made meanwhile is not missing there
        known = known_studio_ids(session, project.id)
    missing = known - client.task_ids(link.project_id)
    with database.write() as session:
        n_deleted = mark_tasks_deleted(session, project.id, missing)
        set_pulled(session, project.id, until=min(filter(None, (newest, floor)), default=None))
    return PullReport(
        n_tasks=counts["tasks"],
        n_news=counts["news"],
        n_deleted_tasks=n_deleted,
        n_deleted_annotations=counts["gone"],
        problems=tuple(problems),
    )


def _refresh_config(database: Database, project_id: int, xml: str) -> LabelConfig:
    config = parse_config(xml)
    with database.write() as session:
        if xml != current_config_xml(session, project_id):
            known = current_schema(session, project_id)
            pairs = known.pairs if known else frozenset()
            save_schema(session, project_id, config.schema.with_pairs(pairs), config_xml=xml)
    return config


def _apply(
    session: Session,
    project_id: int,
    task: Mapping[str, Any],
    config: LabelConfig,
    split: SplitRule,
    started: datetime,
) -> tuple[int, int]:
    known = find_task(session, project_id, studio_id=int(task["id"]))
    ours = resolve_task(session, project_id, task, config=config, split=split)
    predictions = {
        p["id"]: p for p in task.get("predictions") or () if isinstance(p, Mapping) and "id" in p
    }
    page = page_of(task, config)
    news, present = int(known is None), set[str]()
    for annotation in task.get("annotations") or ():
        present.add(str(annotation.get("id")))
        news += record_studio_annotation(
            session,
            project_id,
            ours,
            annotation,
            page=page,
            config=config,
            prediction=predictions.get(annotation.get("parent_prediction")),
            revive=True,
        )
    # What came in by webhook after this pull began may be younger than the page we look at.
    vanished = studio_ids(session, project_id, task_id=ours.id, received_before=started) - present
    now = datetime.now(UTC)
    gone = sum(
        mark_deleted(session, project_id, external_id=external_id, at=now)
        for external_id in vanished
    )
    if gone or ours.state == "deleted":
        refresh_state(session, ours.id, revive=True)
    return news, gone


def _updated_at(task: Mapping[str, Any]) -> datetime | None:
    value = task.get("updated_at")
    return datetime.fromisoformat(value) if isinstance(value, str) else None
