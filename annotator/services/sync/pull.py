"""The pull: makes our database match Label Studio's, even if webhooks were lost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from annotator.errors import ConflictError, InputError
from annotator.services.sync.annotations import (
    SplitRule,
    page_of,
    parent_of,
    record_studio_annotation,
    resolve_task,
)
from annotator.services.sync.configuration import adopt_config
from annotator.services.sync.identity import prove_identity
from annotator.services.sync.rereading import reread_annotations
from annotator.services.sync.webhooks import touched_tasks
from annotator.store.annotations import latest_revision, mark_deleted, studio_ids
from annotator.store.clock import elapsed_s, now
from annotator.store.database import Database
from annotator.store.inbox import settled_events
from annotator.store.projects import (
    Project,
    current_config_xml,
    get_project,
    set_pulled,
)
from annotator.store.tasks import (
    find_task,
    known_studio_ids,
    mark_tasks_deleted,
    note_seen,
    refresh_state,
    seen_tasks,
)
from annotator.studio.client import StudioClient
from annotator.studio.config import LabelConfig, parse_config

__all__ = ["PullReport", "reconcile"]

_OVERLAP = timedelta(seconds=30)  # clocks and transactions: look back a little further


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What a pull found. ``problems`` name tasks by id; those are retried once they change."""

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
    recheck: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> PullReport:
    """Pull every task that changed since it was last read, and find deleted ones.

    Label Studio's time of a task's last change is stored with the task, so that a pull which looks
    back does not read it again. Tasks that events have changed here are read too, since a late
    event may have reported an old state. What another reader has read is read anew.

    With ``full`` all tasks are read; with ``recheck`` all whose change was not seen, whatever the
    clocks say: so also where a stored time lies ahead, since a clock was corrected. Tasks new to us
    are drawn into the hold-out by ``split``.
    ``on_progress`` is called with the number of tasks read so far.

    Raises:
        StudioIdentityError: if another project answers there; nothing is changed.
        StudioError, StoreError: if Label Studio or the database fails; what was pulled is kept.
        ConfigError: if the project is not connected.
    """
    number = project.link().project_id
    began = _begin(database)
    xml = prove_identity(database, project, client).config_xml
    config = _refresh_config(database, project.id, xml)
    with database.read() as session:  # a new configuration resets the time
        before = get_project(session, project.name)
    pull = _Pull(database, project.id, config, split, began, on_progress)
    if full or before.pulled_until is None:
        pull.look_at(client.tasks(number))
    else:
        pull.look_at_changes(client, number, since=_since(before, began, recheck))
    with database.read() as session:  # ours first, or a task made meanwhile would seem deleted
        known = known_studio_ids(session, project.id)
        since = (before.pulled_at or began.at) - _OVERLAP
        touched = touched_tasks(session, project.id, after=before.pulled_event, since=since)
    there = client.task_ids(number)

    def look_at(ids: Iterable[int]) -> None:
        pull.look_at(client.tasks_of(number, list((set(ids) & there) - pull.seen)))

    look_at(touched)
    pull.n_news += reread_annotations(database, project.id, config, look_at=look_at)
    return pull.report(_finish(pull, before, xml=xml, gone=known - there))


def _finish(pull: _Pull, before: Project, *, xml: str, gone: set[int]) -> int:
    """Mark tasks that are gone, and note the end of a pull; return how many were marked."""
    with pull.database.write() as session:
        n_deleted = mark_tasks_deleted(session, pull.project_id, gone)
        # A configuration that arrived meanwhile has requested another full pull.
        is_same = current_config_xml(session, pull.project_id) == xml
        until = pull.until(before.pulled_until) if is_same else None
        began = pull.began
        set_pulled(session, pull.project_id, started=began.at, until=until, event=began.event)
    return n_deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning:
    """What was there when a pull began: the newest event processed, and the newest revision."""

    at: datetime
    event: int
    revision: int
    ticks: float


def _begin(database: Database) -> _Beginning:
    with database.read() as session:
        return _Beginning(
            at=now(session),
            ticks=time.monotonic(),
            event=settled_events(session),
            revision=latest_revision(session),
        )


def _since(before: Project, began: _Beginning, recheck: bool) -> datetime | None:
    until = before.pulled_until
    if recheck or until is None or elapsed_s(until, began.at) == math.inf:
        return None
    return until - _OVERLAP


@dataclass
class _Pull:
    """A pull in progress, with its findings so far."""

    database: Database
    project_id: int
    config: LabelConfig
    split: SplitRule
    began: _Beginning
    on_progress: Callable[[int], None] | None
    seen: set[int] = field(default_factory=set)
    n_news: int = 0
    n_gone: int = 0
    problems: list[str] = field(default_factory=list)
    newest: datetime | None = None
    floor: datetime | None = None

    def look_at_changes(
        self, client: StudioClient, studio_project: int, *, since: datetime | None
    ) -> None:
        """Process the tasks that changed since then, except those already seen in this state."""
        for page in client.changes(studio_project, updated_after=since):
            self.newest = max(filter(None, (self.newest, max(at for _, at in page))))
            with self.database.read() as session:
                seen = seen_tasks(session, self.project_id, [studio_id for studio_id, _ in page])
            unseen = [studio_id for studio_id, at in page if seen.get(studio_id) != at]
            self.look_at(client.tasks_of(studio_project, unseen))

    def look_at(self, tasks: Iterable[Mapping[str, Any]]) -> None:
        """Make our copies of tasks equal to them."""
        for task in tasks:
            self._look_at(task)

    def _look_at(self, task: Mapping[str, Any]) -> None:
        changed_at = _updated_at(task)
        self.seen.add(int(task["id"]))
        self.newest = max(filter(None, (self.newest, changed_at)), default=None)
        try:
            with self.database.write() as session:
                news, gone = _apply(
                    session, self.project_id, task, self.config, self.split, self.began.revision
                )
            self.n_news += news
            self.n_gone += gone
        except InputError as error:  # it recurs until somebody changes the task
            self.problems.append(str(error))
        except ConflictError as error:
            self.problems.append(str(error))
            self.floor = min(filter(None, (self.floor, changed_at)), default=None)
        if self.on_progress is not None:
            self.on_progress(len(self.seen))

    def until(self, before: datetime | None) -> datetime | None:
        """Return a time by Label Studio's clock before which no change is unseen.

        A task may have changed after its page was read, and a later page may hold a younger change.
        Both happened during this pull, so its duration is subtracted. Label Studio's clock may be
        ahead until it is corrected: the time is none later than ours.
        """
        newest = self.newest
        if newest is not None:
            newest -= timedelta(seconds=time.monotonic() - self.began.ticks)
        newest = max(filter(None, (before, newest)), default=None)
        return min(filter(None, (newest, newest and self.began.at, self.floor)), default=None)

    def report(self, n_deleted_tasks: int) -> PullReport:
        """Return the findings."""
        return PullReport(
            n_tasks=len(self.seen),
            n_news=self.n_news,
            n_deleted_tasks=n_deleted_tasks,
            n_deleted_annotations=self.n_gone,
            problems=tuple(self.problems),
        )


def _refresh_config(database: Database, project_id: int, xml: str) -> LabelConfig:
    config = parse_config(xml)
    with database.write() as session:
        adopt_config(session, project_id, config)
    return config


def _apply(
    session: Session,
    project_id: int,
    task: Mapping[str, Any],
    config: LabelConfig,
    split: SplitRule,
    pulled_after: int,
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
            prediction=predictions.get(parent_of(annotation)),
            pulled_after=pulled_after,
        )
    # What arrived by webhook after this pull began may be newer than the page at hand.
    vanished = studio_ids(session, project_id, task_id=ours.id, up_to=pulled_after) - present
    at = now(session)
    gone = sum(
        mark_deleted(session, project_id, external_id=external_id, at=at)
        for external_id in vanished
    )
    if gone or ours.state == "deleted":
        refresh_state(session, ours.id, revive=True)
    note_seen(session, ours.id, _updated_at(task))
    return news, gone


def _updated_at(task: Mapping[str, Any]) -> datetime | None:
    value = task.get("updated_at")
    return datetime.fromisoformat(value) if isinstance(value, str) else None
