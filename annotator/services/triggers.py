"""Whether it is time to train again. A pure decision on counts and times."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cronsim import CronSim

__all__ = ["Reason", "TriggerDecision", "is_retrain_due", "last_cron_time"]

Reason = Literal["count", "share", "age", "cron"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDecision:
    """``due`` now for a ``reason``, or look again in ``wait_s`` seconds: labels still come in."""

    due: bool
    wait_s: float = 0.0
    reason: Reason | None = None


def last_cron_time(cron: str, now: datetime) -> datetime:
    """Return the last moment up to ``now`` that a line of cron names."""
    # The library looks for minutes strictly before the one it is given.
    next_minute = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    found: datetime = next(CronSim(cron, next_minute, reverse=True))
    return found


def is_retrain_due(
    *,
    n_new: int,
    n_gold: int,
    newest: datetime | None,
    now: datetime,
    retrain_after: int,
    retrain_share: float,
    debounce_s: float,
    oldest: datetime | None = None,
    retrain_after_hours: float | None = None,
    n_at_cron: int = 0,
    retrain_least: int = 1,
) -> TriggerDecision:
    """Decide whether new labels are enough, or have waited long enough; then a quiet moment.

    Where people label without a pause, twice as many sentences as needed are reason enough.

    Args:
        n_new: Newly labelled sentences.
        n_gold: All labelled sentences.
        newest: When the newest label came; None if there is none.
        now: The time.
        retrain_after: Sentences that are enough ...
        retrain_share: ... or this share of the gold, whichever is more.
        debounce_s: Seconds without a label that make a quiet moment.
        oldest: When the oldest new label came.
        retrain_after_hours: Hours that a label waits at most; None is for ever.
        n_at_cron: New sentences that lay there at the last moment of cron, if no run came since.
        retrain_least: Fewest new sentences for a run by age or cron.
    """
    if newest is None:
        return TriggerDecision(due=False)
    share = round(retrain_share * n_gold)
    needed = max(retrain_after, share)
    reason: Reason | None = None
    if n_new >= needed:
        reason = "share" if share > retrain_after else "count"
    elif n_at_cron >= retrain_least:
        reason = "cron"
    elif retrain_after_hours is not None and oldest is not None and n_new >= retrain_least:
        waited = now - oldest
        reason = "age" if waited >= timedelta(hours=retrain_after_hours) else None
    if reason is None:
        return TriggerDecision(due=False)
    quiet_s = (now - newest).total_seconds()
    if quiet_s < debounce_s and n_new < 2 * needed:
        return TriggerDecision(due=False, wait_s=debounce_s - quiet_s)
    return TriggerDecision(due=True, reason=reason)
