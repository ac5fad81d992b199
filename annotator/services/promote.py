"""Putting a version into use by hand, and going back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.services.registry import check_weights
from annotator.store.database import Database
from annotator.store.projects import audit
from annotator.store.versions import (
    ModelVersion,
    activate_version,
    active_version,
    get_version,
    list_versions,
)

__all__ = ["previous_version", "promote_version"]


def promote_version(
    database: Database,
    project_id: int,
    name: str,
    *,
    actor: str,
    action: Literal["promote", "rollback"] = "promote",
) -> ModelVersion:
    """Make a version the active one, if its weights are what was registered.

    ``action`` is what the audit trail calls it.

    Raises:
        NotFoundError: if there is no such version.
        CheckpointError: if its files are damaged or deleted; nothing changes then.
    """
    with database.read() as session:
        version = get_version(session, project_id, name)
    check_weights(version)
    with database.write() as session:
        before = active_version(session, project_id)
        activate_version(session, project_id, version.id, provisional=version.provisional)
        session.flush()
        if not Path(version.folder).is_dir():  # pruned since they were read
            check_weights(version)
        audit(
            session,
            project_id,
            actor=actor,
            action=action,
            version=name,
            before=before.name if before else None,
            by_hand=True,
        )
        return get_version(session, project_id, name)


def previous_version(session: Session, project_id: int) -> ModelVersion:
    """Return the version that was in use before the active one.

    Raises:
        NotFoundError: if there is none to go back to.
    """
    active = active_version(session, project_id)
    retired = [
        v
        for v in list_versions(session, project_id)
        if v.state == "retired" and v.promoted_at is not None
    ]
    if active is None or not retired:
        raise NotFoundError("there is no earlier version to go back to; see annotator models")
    return max(retired, key=lambda v: (v.promoted_at, v.id))
