"""What a worker cannot do at present, and why: kept in the audit trail, a line a change."""

from __future__ import annotations

from typing import Any, Literal, get_args

from sqlalchemy.orm import Session

from annotator.store.projects import audit, latest_audit

__all__ = ["Part", "note_state", "troubles"]

Part = Literal["pull", "publish", "order", "settings"]


def note_state(session: Session, project_id: int, part: Part, problem: str | None) -> None:
    """Note that a part of the work fails for this reason, or that it works (None)."""
    last = latest_audit(session, project_id, f"{part}_state")
    if (last[1].get("problem") if last else None) != problem:
        audit(session, project_id, actor="worker", action=f"{part}_state", problem=problem)


def troubles(session: Session, project_id: int) -> list[dict[str, Any]]:
    """Return the parts that fail, as JSON values: ``part``, ``problem`` and ``since`` when."""
    found = []
    for part in get_args(Part):
        last = latest_audit(session, project_id, f"{part}_state")
        if last and last[1].get("problem"):
            found.append(
                {"part": part, "problem": last[1]["problem"], "since": last[0].isoformat()}
            )
    return found
