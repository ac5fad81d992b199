"""The versions that were in use, in the order in which a rollback goes back to them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from annotator.store.versions import ModelVersion, list_versions
from db.tables import AuditRow

__all__ = ["versions_before"]


def versions_before(session: Session, project_id: int) -> list[ModelVersion]:
    """Return the versions in use before the active one, the one to go back to first.

    One that was rolled back from is not among them, unless it was promoted again.
    """
    versions = {version.name: version for version in list_versions(session, project_id)}
    moves = session.execute(
        select(AuditRow.action, AuditRow.detail)
        .where(AuditRow.project_id == project_id, AuditRow.action.in_(("promote", "rollback")))
        .order_by(AuditRow.id)
    ).all()
    noted = {detail.get("version") for _, detail in moves}
    used = [v for v in versions.values() if v.promoted_at is not None and v.name not in noted]
    order = [v.name for v in sorted(used, key=lambda v: (v.promoted_at, v.id))]
    for action, detail in moves:
        gone = {detail.get("version"), detail.get("before") if action == "rollback" else None}
        order = [*(name for name in order if name not in gone), detail["version"]]
    return [
        versions[name]
        for name in reversed(order)
        if name in versions and versions[name].state == "retired"
    ]
