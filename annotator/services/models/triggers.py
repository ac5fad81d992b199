"""When a training run starts by itself: after enough new labels, after so long, or at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cronsim import CronSim
from sqlalchemy.orm import Session

from annotator.settings import Settings
from annotator.store.clock import SLACK, elapsed_s, now
from annotator.store.runs import Run, list_runs
from annotator.store.snapshots import n_new_sentences, oldest_new_label

__all__ = [
    "NewLabels",
    "Reason",
    "TriggerDecision",
    "count_new_labels",
    "decide_retrain",
    "is_retrain_due",
    "last_cron_time",
]

Reason = Literal["count", "share", "age", "cron"]
_FRUITLESS = frozenset({"failed", "cancelled"})
_LOOK_BACK = 20  # runs; the labels to wait for have long reached their most


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLabels:
    """Labelled sentences since the last run that gave a result: a version, promoted or held.

    Attributes:
        n_new: How many.
        n_gold: All sentences to learn from.
        newest: When the newest label came; None if there is none.
        needed: How many new ones start a run.
        n_wait: How many must still come since the last run, if that gave no result: one, and twice
            as many after each further one.
    """

    n_new: int
    n_gold: int
    newest: datetime | None
    needed: int
    n_wait: int

    @property
    def n_missing(self) -> int:
        """How many sentences must still be labelled before a run starts by itself."""
        return max(self.n_wait, self.needed - self.n_new, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDecision:
    """``due`` now for a ``reason``, or check again in ``wait_s`` seconds: labels still come in."""

    due: bool
    wait_s: float = 0.0
    reason: Reason | None = None


def count_new_labels(
    session: Session, project_id: int, settings: Settings, *, beyond: int | None = None
) -> NewLabels:
    """Count new labels; with ``beyond``, those that are not in this snapshot."""
    n_new, n_gold, newest = n_new_sentences(session, project_id, beyond=beyond)
    needed = max(settings.retrain_after, round(settings.retrain_share * n_gold))
    return NewLabels(
        n_new=n_new,
        n_gold=n_gold,
        newest=newest,
        needed=needed,
        n_wait=_n_wait(session, project_id, most=needed),
    )


def _n_wait(session: Session, project_id: int, *, most: int) -> int:
    """Return how many sentences must come before a run is tried again by itself.

    Whatever ended the last one, a person or an error, may end the next one too.
    """
    runs = [
        run
        for run in list_runs(session, project_id, limit=_LOOK_BACK)
        if run.state not in ("queued", "running")
    ]
    n = next((i for i, run in enumerate(runs) if run.state not in _FRUITLESS), len(runs))
    if n == 0:
        return 0
    ended = runs[0].finished_at
    if ended is not None and elapsed_s(ended, now(session)) == math.inf:
        ended = None
    fresh, _, _ = n_new_sentences(session, project_id, after=ended)
    return max(min(int(2 ** (n - 1)), most) - fresh, 0)


def decide_retrain(
    session: Session, project_id: int, settings: Settings
) -> tuple[NewLabels, TriggerDecision]:
    """Decide whether a run is due now; labels that a run under way learns from are not new."""
    running = list_runs(session, project_id, states=("running",), limit=1)
    beyond = running[0].snapshot_id if running else None
    labels = count_new_labels(session, project_id, settings, beyond=beyond)
    if labels.n_wait:
        return labels, TriggerDecision(due=False)
    at = now(session)
    hours, n_new = settings.retrain_after_hours, labels.n_new
    oldest = oldest_new_label(session, project_id, beyond=beyond) if hours and n_new else None
    n_at_cron = _n_at_cron(session, project_id, settings.retrain_cron, at, beyond) if n_new else 0
    return labels, is_retrain_due(
        n_new=n_new,
        needed=labels.needed,
        by_share=labels.needed > settings.retrain_after,
        newest=labels.newest,
        now=at,
        debounce_s=settings.debounce_s,
        oldest=oldest,
        retrain_after_hours=hours,
        n_at_cron=n_at_cron,
        retrain_least=settings.retrain_least,
    )


def _n_at_cron(
    session: Session, project_id: int, cron: str | None, at: datetime, beyond: int | None
) -> int:
    if cron is None:
        return 0
    due_at = last_cron_time(cron, at)
    last: list[Run] = list_runs(session, project_id, limit=1)
    if last and due_at <= last[0].created_at <= at + SLACK:
        return 0
    return n_new_sentences(session, project_id, until=due_at, beyond=beyond)[0]


def last_cron_time(cron: str, now: datetime) -> datetime:
    """Return the last moment up to ``now`` that matches a cron expression."""
    # The library searches strictly before the minute it is given.
    next_minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    found: datetime = next(CronSim(cron, next_minute, reverse=True))
    return found


def is_retrain_due(
    *,
    n_new: int,
    needed: int,
    by_share: bool,
    newest: datetime | None,
    now: datetime,
    debounce_s: float,
    oldest: datetime | None = None,
    retrain_after_hours: float | None = None,
    n_at_cron: int = 0,
    retrain_least: int = 1,
) -> TriggerDecision:
    """Decide whether new labels are enough, or old enough; then wait for a quiet moment.

    If people label without a pause, twice as many sentences as needed are enough.

    Args:
        n_new: Newly labelled sentences.
        needed: Sentences that are enough.
        by_share: Whether ``needed`` is a share of the gold.
        newest: Time of the newest label; None if there is none.
        now: The time.
        debounce_s: Seconds without a label that count as a quiet moment.
        oldest: Time of the oldest new label.
        retrain_after_hours: Most hours that a label waits; None for no limit.
        n_at_cron: New sentences at the last cron time, if there was no run since.
        retrain_least: Fewest new sentences for a run by age or cron.
    """
    if newest is None:
        return TriggerDecision(due=False)
    reason: Reason | None = None
    if n_new >= needed:
        reason = "share" if by_share else "count"
    elif n_at_cron >= retrain_least:
        reason = "cron"
    elif retrain_after_hours is not None and oldest is not None and n_new >= retrain_least:
        reason = "age" if elapsed_s(oldest, now) >= 3600 * retrain_after_hours else None
    if reason is None:
        return TriggerDecision(due=False)
    quiet_s = elapsed_s(newest, now)
    if quiet_s < debounce_s and n_new < 2 * needed:
        return TriggerDecision(due=False, wait_s=debounce_s - quiet_s)
    return TriggerDecision(due=True, reason=reason)
