"""Watching a training run from outside, and what a story of kills has left of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select

from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import FINISHED, Run, get_run
from annotator.store.versions import list_versions
from db.tables import AuditRow

__all__ = ["kill", "read", "results", "wait_for_end", "wait_for_training", "wait_until"]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def read(database: Database, run_id: int) -> Run:
    with database.read() as session:
        return get_run(session, run_id)


def wait_until(is_so: Callable[[], Any], *, timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def wait_for_training(database: Database, run_id: int, *, attempt: int = 1) -> None:
    """Wait until a run is in the midst of its steps."""

    def is_under_way() -> bool:
        run = read(database, run_id)
        return run.attempts == attempt and run.progress.get("step", 0) > 0

    wait_until(is_under_way)


def wait_for_end(database: Database, run_id: int) -> Run:
    wait_until(lambda: read(database, run_id).state in FINISHED)
    return read(database, run_id)


def results(database: Database, project: Project) -> tuple[int, int]:
    """How many versions there are, and how many promotions the audit trail holds."""
    with database.read() as session:
        n_audits = session.scalar(
            select(func.count()).select_from(AuditRow).where(AuditRow.action == "promote")
        )
        return len(list_versions(session, project.id)), n_audits or 0
