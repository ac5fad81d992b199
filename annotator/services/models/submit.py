"""Requests for a training run, refused if it could not learn anything new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from cronsim import CronSim
from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.settings import Settings
from annotator.store.clock import elapsed_s
from annotator.store.inbox import new_events
from annotator.store.runs import Run, list_runs, submit_run
from annotator.store.snapshots import has_same_gold
from annotator.store.versions import active_version, list_versions

__all__ = [
    "Reason",
    "Submission",
    "TriggerDecision",
    "is_retrain_due",
    "last_cron_time",
    "recipe",
    "submit_training",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Result of a request for a run.

    Attributes:
        run: The new run, the one that is already waiting, or the earlier one with the same result.
        is_new: Whether the run is new.
        same_as: The name of the version that another run would reproduce; None if there is a run
            to wait for.
    """

    run: Run
    is_new: bool
    same_as: str | None = None

    @property
    def reason(self) -> str | None:
        """Why there is no run to wait for, and what to do."""
        if self.same_as is None:
            return None
        return (
            f"nothing new since run {self.run.id}: same labels, same settings, so {self.same_as} "
            "would come out again; annotator retrain --again trains all the same"
        )


def recipe(settings: Settings) -> dict[str, Any]:
    """Return the settings that, beside the snapshot, determine a model's weights."""
    names = ("encoder", "epochs", "min_steps", "batch_size", "seed", "warm_keep", "warm_share")
    return {name: getattr(settings, name) for name in names}


def submit_training(
    session: Session,
    project_id: int,
    settings: Settings,
    *,
    trigger: str,
    force: bool = False,
    again: bool = False,
    warm: bool = False,
) -> Submission:
    """Queue a run, return the one that waits, or report that there is nothing new.

    ``trigger`` is what asked for the run. ``force`` promotes the result whatever the gate says;
    then, or with ``again``, there is a run even if the same model must result. ``warm`` starts
    from the active version instead of only the pre-trained encoder.

    Raises:
        NotFoundError: if there is no active version to start from.
    """
    start_from = None
    if warm:
        active = active_version(session, project_id)
        if active is None:
            raise NotFoundError(
                "there is no version in use to start from; run annotator retrain without "
                "--warm-start"
            )
        start_from = active.name
    if not (force or again):
        done = _same_before(session, project_id, {**recipe(settings), "warm": warm})
        if done is not None:
            return done
    run, is_new = submit_run(
        session,
        project_id,
        trigger=trigger,
        force=force,
        settings={"start_from": start_from},
    )
    return Submission(run=run, is_new=is_new)


def _same_before(session: Session, project_id: int, wanted: Mapping[str, Any]) -> Submission | None:
    runs = list_runs(session, project_id, limit=1)
    if not runs or runs[0].state not in ("succeeded", "held"):
        return None  # one is in progress, or the last one was not completed
    last = runs[0]
    made = {**last.settings, "warm": last.settings.get("start_from") is not None}
    if any(made.get(name) != value for name, value in wanted.items()):
        return None
    if new_events(session, limit=1):
        return None  # labels may be on their way
    if last.snapshot_id is None or not has_same_gold(session, project_id, last.snapshot_id):
        return None
    versions = [v for v in list_versions(session, project_id) if v.run_id == last.id]
    if not versions:
        return None
    return Submission(run=last, is_new=False, same_as=versions[0].name)


Reason = Literal["count", "share", "age", "cron"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDecision:
    """``due`` now for a ``reason``, or check again in ``wait_s`` seconds: labels still come in."""

    due: bool
    wait_s: float = 0.0
    reason: Reason | None = None


def last_cron_time(cron: str, now: datetime) -> datetime:
    """Return the last moment up to ``now`` that matches a cron expression."""
    # The library searches strictly before the minute it is given.
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
    """Decide whether new labels are enough, or old enough; then wait for a quiet moment.

    If people label without a pause, twice as many sentences as needed are enough.

    Args:
        n_new: Newly labelled sentences.
        n_gold: All labelled sentences.
        newest: Time of the newest label; None if there is none.
        now: The time.
        retrain_after: Sentences that are enough ...
        retrain_share: ... or this share of the gold, whichever is more.
        debounce_s: Seconds without a label that count as a quiet moment.
        oldest: Time of the oldest new label.
        retrain_after_hours: Most hours that a label waits; None for no limit.
        n_at_cron: New sentences at the last cron time, if there was no run since.
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
        reason = "age" if elapsed_s(oldest, now) >= 3600 * retrain_after_hours else None
    if reason is None:
        return TriggerDecision(due=False)
    quiet_s = elapsed_s(newest, now)
    if quiet_s < debounce_s and n_new < 2 * needed:
        return TriggerDecision(due=False, wait_s=debounce_s - quiet_s)
    return TriggerDecision(due=True, reason=reason)
