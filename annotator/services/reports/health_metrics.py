"""The few numbers that tell whether a project is well: cheap enough to be asked every second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from annotator.store.database import Database
from annotator.store.gold import count_gold
from annotator.store.inbox import count_events, oldest_waiting
from annotator.store.leases import WORKER_LEASE, holders
from annotator.store.projects import get_project
from annotator.store.runs import Run, list_runs
from annotator.store.tasks import count_tasks

__all__ = ["Vitals", "take_vitals"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What is measured.

    Attributes:
        events: Webhook events by state.
        inbox_lag_s: Age of the oldest event that waits, in seconds; 0 if none does.
        tasks: Tasks by state.
        gold: Labelled units by split.
        n_workers: Workers that gave a sign of life within their lease.
        n_queued: Training runs that wait.
        run: The newest training run, None before the first.
    """

    events: Mapping[str, int]
    inbox_lag_s: float
    tasks: Mapping[str, int]
    gold: Mapping[str, int]
    n_workers: int
    n_queued: int
    run: Run | None


def take_vitals(database: Database, project: str) -> Vitals:
    """Measure a project.

    Raises:
        StoreError: if the database cannot be reached.
        NotFoundError: if there is no such project.
    """
    now = datetime.now(UTC)
    with database.read() as session:
        project_id = get_project(session, project).id
        oldest = oldest_waiting(session)
        runs = list_runs(session, project_id, limit=1)
        return Vitals(
            events=count_events(session),
            inbox_lag_s=0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()),
            tasks=count_tasks(session, project_id),
            gold=count_gold(session, project_id),
            n_workers=len(holders(session, WORKER_LEASE, now=now)),
            n_queued=len(list_runs(session, project_id, states=["queued"], limit=1000)),
            run=runs[0] if runs else None,
        )
