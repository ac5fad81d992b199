"""Requests for a training run, refused if it could not learn anything new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.settings import Settings
from annotator.store.inbox import new_events
from annotator.store.runs import Run, list_runs, submit_run
from annotator.store.snapshots import has_same_gold
from annotator.store.versions import active_version, list_versions

__all__ = [
    "Submission",
    "recipe",
    "submit_training",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Result of a request for a run.

    Attributes:
        run: The new run, the one that is already waiting or learns the same, or the earlier one
            with the same result.
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
    """Queue a run, return the one that waits or learns the same, or report that nothing is new.

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
        wanted = {**recipe(settings), "start_from": start_from}
        same = _same_under_way(session, project_id, wanted) or _same_before(
            session, project_id, {**recipe(settings), "warm": warm}
        )
        if same is not None:
            return same
    run, is_new = submit_run(
        session,
        project_id,
        trigger=trigger,
        force=force,
        settings={"start_from": start_from},
    )
    return Submission(run=run, is_new=is_new)


def _same_under_way(
    session: Session, project_id: int, wanted: Mapping[str, Any]
) -> Submission | None:
    """Return the run under way if it learns from the labels there are, with these settings."""
    runs = list_runs(session, project_id, states=("running",), limit=1)
    if not runs or runs[0].cancel_requested or new_events(session, limit=1):
        return None
    made = runs[0].settings  # before its process has started, not all of them
    if any(made.get(name, value) != value for name, value in wanted.items()):
        return None
    taken = runs[0].snapshot_id  # None: it will take all labels
    if taken is not None and not has_same_gold(session, project_id, taken):
        return None
    return Submission(run=runs[0], is_new=False)


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
