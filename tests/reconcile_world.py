"""A Label Studio, our database, and what both say about the same tasks."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from factories import LINK, TINY_CONFIG_XML
from fake_studio import FakeStudio
from sqlalchemy import Engine, event, select
from tiny_bert import TINY_SCHEMA

from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.pull import PullReport, reconcile
from annotator.services.sync.webhooks import process_inbox, receive_event
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import (
    Project,
    current_config_xml,
    ensure_project,
    get_project,
    link_studio,
    save_schema,
)
from annotator.store.tasks import find_task, known_studio_ids
from db.tables import AnnotationRow

SPLIT = SplitRule(holdout_share=0.0, seed=1)
MOST_DELIVERIES = 5

# Of each task: its text, its state, and by id who decided what, submitted or skipped, starred.
Tasks = dict[int, tuple[str, str, dict[str, tuple[Any, str, str, bool]]]]


def ours(database: Database, project: Project) -> Tasks:
    """Every task and annotation that we believe to be in Label Studio."""
    found: Tasks = {}
    with database.read() as session:
        for studio_id in sorted(known_studio_ids(session, project.id)):
            task = find_task(session, project.id, studio_id=studio_id)
            assert task is not None
            rows = session.scalars(
                select(AnnotationRow).where(
                    AnnotationRow.task_id == task.id,
                    AnnotationRow.is_current,
                    AnnotationRow.state != "deleted",
                )
            )
            decided = {
                row.external_id: (row.raw, row.state, str(row.annotator), row.ground_truth)
                for row in rows
            }
            found[studio_id] = (task.text, task.state, decided)
    return found


def theirs(studio: FakeStudio) -> Tasks:
    """Every task and annotation of Label Studio."""
    return {
        task["id"]: (
            task["data"][shown_field(studio)],
            _state([a["was_cancelled"] for a in task["annotations"]]),
            {str(a["id"]): _decision(a) for a in task["annotations"]},
        )
        for task in studio.tasks(1)
    }


def shown_field(studio: FakeStudio) -> str:
    """The field of a task that Label Studio shows."""
    return "note" if "$note" in studio.config_xml else "text"


def _state(skips: list[bool]) -> str:
    if not skips:
        return "open"
    return "skipped" if all(skips) else "labelled"


def _decision(annotation: dict[str, Any]) -> tuple[Any, str, str, bool]:
    return (
        annotation["result"],
        "skipped" if annotation["was_cancelled"] else "submitted",
        str(annotation["completed_by"]),
        annotation["ground_truth"],
    )


class KilledError(BaseException):
    """The process is no more. What handles exceptions does not handle this one."""


@contextmanager
def killed_at(statement: int | None) -> Iterator[None]:
    """Kill what runs in the block at its n-th statement or commit, if it comes that far."""
    left = itertools.count(statement or 0, -1)

    def strike(*_arguments: Any) -> None:
        if next(left) == 0:
            raise KilledError

    hooks = [] if statement is None else ["before_cursor_execute", "commit"]
    for name in hooks:
        event.listen(Engine, name, strike)
    try:
        yield
    finally:
        for name in hooks:
            event.remove(Engine, name, strike)


@dataclass
class ReconcileWorld:
    """A Label Studio whose clock shows ``now``, our empty database, and events on their way.

    ``texts`` counts the tasks that had a text; it is more than one for a text edited in.
    """

    url: str
    now: datetime
    studio: FakeStudio = field(init=False)
    database: Database = field(init=False)
    texts: Counter[str] = field(default_factory=Counter)
    n_deliveries: Counter[int] = field(default_factory=Counter)
    _revisions: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.studio = FakeStudio(self.now, pace=timedelta(minutes=1))
        self.database = Database(self.url)
        with self.database.write() as session:
            made = ensure_project(session, name="ward", unit="sentence")
            save_schema(session, made.id, TINY_SCHEMA, config_xml=TINY_CONFIG_XML)
            link_studio(session, made.id, LINK)

    @property
    def project(self) -> Project:
        """Our project as it is now."""
        with self.database.read() as session:
            return get_project(session, "ward")

    def config_xml(self) -> str | None:
        """The configuration as we know it."""
        with self.database.read() as session:
            return current_config_xml(session, self.project.id)

    def deliver(self, i_event: int) -> None:
        """Store an event, unless it has come five times already."""
        if self.n_deliveries[i_event] < MOST_DELIVERIES:
            self.n_deliveries[i_event] += 1
            with self.database.write() as session:
                receive_event(session, self.studio.events[i_event])

    def process(self, database: Database) -> None:
        """Work off the inbox."""
        process_inbox(database, self.project, split=SPLIT)

    def pull(self, database: Database, **options: Any) -> PullReport:
        """Make our database equal to Label Studio's."""
        return reconcile(database, self.project, self.studio, split=SPLIT, **options)

    def until_killed(self, work: Callable[[Database], Any], *, statement: int | None) -> None:
        """Do some work as a process of its own would, which may be killed at a statement."""
        database = Database(self.url)
        try:
            with killed_at(statement):
                work(database)
        except KilledError:
            pass
        finally:
            database.close()
        self.check_history()

    def check_history(self) -> None:
        """Find every revision that was ever there as it was."""
        with self.database.read() as session:
            now = {
                row.id: (row.external_id, row.revision, row.state, row.document_id, row.raw)
                for row in session.scalars(select(AnnotationRow))
            }
        assert {id: now.get(id) for id in self._revisions} == self._revisions
        self._revisions = now

    def our_gold(self) -> dict[int, set[tuple[str, str]]]:
        """Labels that count, of each task whose text no other task had before."""
        with self.database.read() as session:
            return {
                task.studio_id: {(e.type, unit.document.mention(e)) for e in unit.document.entities}
                for unit in gold_units(session, self.project.id)
                for task in map(self._find(session), self.plain_tasks())
                if task.document == unit.source_document
            }

    def their_gold(self) -> dict[int, set[tuple[str, str]]]:
        """The same by Label Studio: a starred annotation counts before the latest."""
        gold = {}
        for task in map(self.studio.task, self.plain_tasks()):
            submitted = [a for a in task["annotations"] if not a["was_cancelled"]]
            if submitted:
                best = max(submitted, key=lambda a: (a["ground_truth"], a["updated_at"]))
                values = [r["value"] for r in best["result"] if "value" in r]
                gold[task["id"]] = {(v["labels"][0], v["text"]) for v in values}
        return gold

    def plain_tasks(self) -> list[int]:
        """Tasks whose text no other task had, and that had no other text."""
        return [t["id"] for t in self.studio.tasks(1) if self.texts[t["data"]["text"]] == 1]

    def _find(self, session: Any) -> Callable[[int], Any]:
        project_id = self.project.id
        return lambda studio_id: find_task(session, project_id, studio_id=studio_id)
