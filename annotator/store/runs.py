"""Training runs: the row is the truth. Claims, heartbeats, leases, reaping, cancelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import false, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from annotator.errors import LeaseLostError, NotFoundError
from annotator.store.clock import instant, now
from annotator.store.leases import is_live
from annotator.store.rows import from_row
from annotator.store.run_log import log_run
from db.tables import TrainingRunRow

__all__ = [
    "FINISHED",
    "Run",
    "cancel_run",
    "check_run",
    "claim_run",
    "fail_or_requeue",
    "finish_run",
    "get_run",
    "heartbeat",
    "list_runs",
    "note_settings",
    "reap_runs",
    "release_run",
    "run_to_json",
    "set_snapshot",
    "submit_run",
]

FINISHED = frozenset({"succeeded", "held", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A training run as stored."""

    id: int
    state: str
    trigger: str
    force: bool
    owner: str | None
    attempts: int
    progress: Mapping[str, Any]
    cancel_requested: bool
    settings: Mapping[str, Any]
    snapshot_id: int | None
    reasons: Sequence[str]
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def _run(row: TrainingRunRow) -> Run:
    return from_row(Run, row, reasons=tuple(row.reasons))


def submit_run(
    session: Session,
    project_id: int,
    *,
    trigger: str,
    force: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> tuple[Run, bool]:
    """Queue a run, or return the one that already waits, with ``settings`` over its own.

    Returns:
        The run, and True if it is new.
    """
    row = session.scalar(
        select(TrainingRunRow)
        .where(TrainingRunRow.project_id == project_id, TrainingRunRow.state == "queued")
        .order_by(TrainingRunRow.id)
        .limit(1)
    )
    if row is not None:
        row.force = row.force or force
        row.settings = {**row.settings, **(settings or {})}
        return _run(row), False
    row = TrainingRunRow(
        project_id=project_id,
        state="queued",
        trigger=trigger,
        force=force,
        attempts=0,
        progress={},
        cancel_requested=False,
        settings=dict(settings or {}),
        reasons=[],
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    log_run(session, row.id, "submitted", trigger=trigger, force=force or None, **row.settings)
    return _run(row), True


def get_run(session: Session, run_id: int) -> Run:
    """Return a run by id.

    Raises:
        NotFoundError: if there is none.
    """
    row = session.get(TrainingRunRow, run_id)
    if row is None:
        raise NotFoundError(f"no run {run_id}; annotator runs lists them")
    return _run(row)


def list_runs(
    session: Session, project_id: int, *, states: Sequence[str] | None = None, limit: int = 20
) -> list[Run]:
    """Return runs, newest first."""
    query = select(TrainingRunRow).where(TrainingRunRow.project_id == project_id)
    if states is not None:
        query = query.where(TrainingRunRow.state.in_(list(states)))
    rows = session.scalars(query.order_by(TrainingRunRow.id.desc()).limit(limit))
    return [_run(row) for row in rows]


def claim_run(session: Session, run_id: int, *, owner: str, lease_s: float) -> Run | None:
    """Take a queued run; None if it is not queued, or its project has one running."""
    try:
        with session.begin_nested():
            taken = session.execute(
                update(TrainingRunRow)
                .where(TrainingRunRow.id == run_id, TrainingRunRow.state == "queued")
                .values(
                    state="running",
                    owner=owner,
                    attempts=TrainingRunRow.attempts + 1,
                    started_at=now(session),
                    **_term(session, lease_s),
                )
                .returning(TrainingRunRow.id)
            ).first()
    except IntegrityError:
        return None
    if taken is None:
        return None
    run = get_run(session, run_id)
    log_run(session, run_id, "started", attempt=run.attempts, owner=owner)
    return run


def heartbeat(
    session: Session,
    run_id: int,
    *,
    owner: str,
    lease_s: float,
    progress: Mapping[str, Any] | None = None,
) -> bool:
    """Extend the lease and store progress.

    Returns:
        True if somebody asked to cancel the run.

    Raises:
        LeaseLostError: if the run is no longer ours.
    """
    values = _term(session, lease_s)
    if progress is not None:
        values["progress"] = dict(progress)
    kept = session.execute(
        update(TrainingRunRow)
        .where(
            TrainingRunRow.id == run_id,
            TrainingRunRow.owner == owner,
            TrainingRunRow.state == "running",
        )
        .values(**values)
        .returning(TrainingRunRow.cancel_requested)
    ).first()
    if kept is None:
        raise LeaseLostError(f"run {run_id} is no longer held by {owner}")
    return bool(kept[0])


def _term(session: Session, lease_s: float) -> dict[str, Any]:
    return {"renewed_at": instant(session), "lease_until": instant(session, after_s=lease_s)}


def check_run(session: Session, run_id: int, *, owner: str) -> None:
    """Lock a run that we hold until the transaction ends; one that we have just ended is ours too.

    An owner is of one attempt only, so it is a fencing token, as in ``leases.check_lease``.

    Raises:
        LeaseLostError: if the run is no longer ours.
    """
    query = select(TrainingRunRow.id).where(
        TrainingRunRow.id == run_id, TrainingRunRow.owner == owner
    )
    if session.execute(query.with_for_update(read=True)).first() is None:
        raise LeaseLostError(f"run {run_id} is no longer held by {owner}")


def set_snapshot(session: Session, run_id: int, snapshot_id: int) -> None:
    """Bind a run to its snapshot, so that another attempt trains on the same labels."""
    session.get_one(TrainingRunRow, run_id).snapshot_id = snapshot_id


def note_settings(session: Session, run_id: int, values: Mapping[str, Any]) -> None:
    """Record the settings a run uses, merged over those it was submitted with."""
    row = session.get_one(TrainingRunRow, run_id)
    row.settings = {**row.settings, **values}


def finish_run(
    session: Session,
    run_id: int,
    *,
    owner: str,
    state: str,
    reasons: Sequence[str] = (),
    error: str | None = None,
) -> None:
    """End a run that we hold.

    Raises:
        LeaseLostError: if the run is no longer ours.
    """
    ended = session.execute(
        update(TrainingRunRow)
        .where(
            TrainingRunRow.id == run_id,
            TrainingRunRow.owner == owner,
            TrainingRunRow.state == "running",
        )
        .values(
            state=state,
            reasons=list(reasons),
            error=error,
            lease_until=None,
            finished_at=now(session),
        )
        .returning(TrainingRunRow.id)
    ).first()
    if ended is None:
        raise LeaseLostError(f"run {run_id} is no longer held by {owner}")
    log_run(session, run_id, "ended", state=state, error=error)


def reap_runs(session: Session, *, max_attempts: int) -> list[int]:
    """Requeue runs whose lease has expired; give up after ``max_attempts``.

    Returns:
        The ids of the requeued runs.
    """
    at = now(session)
    live = is_live(session, TrainingRunRow.renewed_at, TrainingRunRow.lease_until)
    back = []
    for row in session.scalars(
        select(TrainingRunRow)
        .where(TrainingRunRow.state == "running", ~func.coalesce(live, false()))
        .with_for_update()  # an earlier heartbeat saves its run (PostgreSQL)
    ):
        silent = f"its worker {row.owner} fell silent"
        if row.cancel_requested:
            row.state, row.error = "cancelled", None
        elif row.attempts >= max_attempts:
            before = f"; before that {row.error}" if row.error else ""
            row.state = "failed"
            row.error = f"{silent} in attempt {row.attempts}, the last one{before}"
        else:
            row.state = "queued"
            back.append(row.id)
        log_run(session, row.id, "died", cause=silent, attempt=row.attempts, state=row.state)
        row.owner = row.lease_until = None
        if row.state != "queued":
            row.finished_at = at
    return back


def fail_or_requeue(
    session: Session, run_id: int, *, owner: str, error: str, max_attempts: int
) -> str:
    """Record how a run's process died; requeue it while attempts are left. Return its new state."""
    row = session.get_one(TrainingRunRow, run_id)
    if row.state != "running" or row.owner != owner:
        raise LeaseLostError(f"run {run_id} is no longer held by {owner}")
    row.error, row.owner, row.lease_until = error, None, None
    if row.cancel_requested:
        row.state, row.finished_at = "cancelled", now(session)
    elif row.attempts >= max_attempts:
        row.state, row.finished_at = "failed", now(session)
    else:
        row.state = "queued"
    log_run(session, run_id, "died", cause=error, attempt=row.attempts, state=row.state)
    return row.state


def release_run(session: Session, run_id: int, *, owner: str) -> None:
    """Requeue a run that we hold and cannot finish now; the attempt does not count."""
    row = session.get_one(TrainingRunRow, run_id)
    if row.state == "running" and row.owner == owner:
        row.state, row.owner, row.lease_until = "queued", None, None
        row.attempts = max(0, row.attempts - 1)
        log_run(session, run_id, "put back", reason="its worker was asked to stop")


def cancel_run(session: Session, run_id: int) -> Run:
    """Ask a run to stop; a queued one is cancelled at once."""
    row = session.get(TrainingRunRow, run_id)
    if row is None:
        raise NotFoundError(f"no run {run_id}; annotator runs lists them")
    if row.state == "queued":
        row.state, row.finished_at = "cancelled", now(session)
        log_run(session, run_id, "ended", state="cancelled")
    elif row.state == "running" and not row.cancel_requested:
        row.cancel_requested = True
        log_run(session, run_id, "asked to stop")
    return _run(row)


def run_to_json(run: Run) -> dict[str, Any]:
    """Return a run as plain JSON values."""
    return {
        "id": run.id,
        "state": run.state,
        "trigger": run.trigger,
        "attempts": run.attempts,
        "start_from": run.settings.get("start_from"),
        "progress": dict(run.progress),
        "cancel_requested": run.cancel_requested,
        "reasons": list(run.reasons),
        "error": run.error,
        "created_at": run.created_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }
