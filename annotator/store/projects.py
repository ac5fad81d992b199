"""Projects, their link to Label Studio, their schemas, and the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from annotator.domain import LabelSchema
from annotator.errors import ConfigError, NotFoundError
from annotator.store.clock import now
from annotator.store.origins import ensure_origin, note_stranger, set_apart
from annotator.store.pushes import forget_refusals
from annotator.store.rows import from_row
from db.tables import AuditRow, LabelSchemaRow, ProjectRow

__all__ = [
    "Project",
    "StudioLink",
    "adopt_schema",
    "audit",
    "audit_lines",
    "current_config_xml",
    "current_schema",
    "ensure_project",
    "get_project",
    "latest_audit",
    "link_studio",
    "project_unit",
    "save_schema",
    "set_pulled",
    "unlink_studio",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudioLink:
    """Identifies the Label Studio project; ``key`` is the ``<id>.<created>`` string."""

    host: str
    key: str
    project_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as stored.

    All changes in Label Studio before ``pulled_until`` have been seen; the last pull began at
    ``pulled_at``, when all events up to ``pulled_event`` had been processed.
    """

    id: int
    name: str
    unit: str
    studio: StudioLink | None
    pulled_until: datetime | None
    pulled_at: datetime | None
    pulled_event: int = 0

    def link(self) -> StudioLink:
        """Return the link to Label Studio.

        Raises:
            ConfigError: if the project is not connected.
        """
        if self.studio is None:
            raise ConfigError("the project is not connected to Label Studio; run annotator connect")
        return self.studio


def _project(row: ProjectRow) -> Project:
    studio = None
    if row.studio_host and row.studio_key and row.studio_project_id is not None:
        studio = StudioLink(
            host=row.studio_host, key=row.studio_key, project_id=row.studio_project_id
        )
    return from_row(Project, row, studio=studio)


def ensure_project(session: Session, *, name: str, unit: str) -> Project:
    """Return the project called ``name``, creating it if it does not exist."""
    row = session.scalar(select(ProjectRow).where(ProjectRow.name == name))
    if row is None:
        row = ProjectRow(name=name, unit=unit, created_at=now(session))
        session.add(row)
        session.flush()
        ensure_origin(session, row.id, host="", key="")
    return _project(row)


def get_project(session: Session, name: str) -> Project:
    """Return the project called ``name``.

    Raises:
        NotFoundError: if there is none.
    """
    row = session.scalar(select(ProjectRow).where(ProjectRow.name == name))
    if row is None:
        raise NotFoundError(f"project {name!r} is not in the database; run annotator init")
    return _project(row)


def project_unit(session: Session, project_id: int) -> str:
    """Return what a task of the project holds: sentence or document."""
    return session.get_one(ProjectRow, project_id).unit


def link_studio(session: Session, project_id: int, link: StudioLink) -> None:
    """Store which Label Studio project belongs to this one; a new link makes the next pull full.

    What came from other Label Studio projects keeps its origin: labels stay gold, tasks are marked
    deleted until they are seen again.
    """
    row = session.get_one(ProjectRow, project_id)
    if (row.studio_host, row.studio_key) != (link.host, link.key):
        row.pulled_until = None
    row.studio_host, row.studio_key, row.studio_project_id = link.host, link.key, link.project_id
    session.flush()
    origin = ensure_origin(session, project_id, host=link.host, key=link.key)
    set_apart(session, project_id, origin)
    note_stranger(session, project_id, None)


def unlink_studio(session: Session, project_id: int) -> None:
    """Forget the Label Studio project; tasks, labels and their origin stay."""
    row = session.get_one(ProjectRow, project_id)
    row.studio_host = row.studio_key = row.studio_project_id = None
    row.pulled_until = None


def set_pulled(
    session: Session,
    project_id: int,
    *,
    started: datetime,
    until: datetime | None,
    event: int | None = None,
) -> None:
    """Record a pull that has ended: when it began, after which event, until when it saw changes."""
    row = session.get_one(ProjectRow, project_id)
    row.pulled_at = started
    if until is not None:
        row.pulled_until = until
    if event is not None:
        row.pulled_event = event


def _schema_row(session: Session, project_id: int) -> LabelSchemaRow | None:
    return session.scalar(
        select(LabelSchemaRow)
        .where(LabelSchemaRow.project_id == project_id)
        .order_by(LabelSchemaRow.id.desc())
        .limit(1)
    )


def current_schema(session: Session, project_id: int) -> LabelSchema | None:
    """Return the newest schema, or None before there is one."""
    row = _schema_row(session, project_id)
    return None if row is None else LabelSchema.from_json(row.content)


def current_config_xml(session: Session, project_id: int) -> str | None:
    """Return the labeling configuration last received from Label Studio."""
    row = _schema_row(session, project_id)
    return None if row is None else row.config_xml


def save_schema(
    session: Session, project_id: int, schema: LabelSchema, *, config_xml: str | None = None
) -> bool:
    """Append a schema if it (or its configuration) differs from the current one.

    Another configuration may change how tasks read, so the next pull reads all of them.

    Returns:
        True if something changed.
    """
    row = _schema_row(session, project_id)
    config_xml = config_xml or (row.config_xml if row else None)
    if row is not None and row.digest == schema.digest and row.config_xml == config_xml:
        return False
    if row is None or row.config_xml != config_xml:
        session.get_one(ProjectRow, project_id).pulled_until = None
    session.add(
        LabelSchemaRow(
            project_id=project_id,
            digest=schema.digest,
            content=schema.to_json(),
            config_xml=config_xml,
            created_at=now(session),
        )
    )
    session.flush()
    return True


def adopt_schema(
    session: Session, project_id: int, schema: LabelSchema, *, config_xml: str
) -> None:
    """Save the labels of a labeling configuration, with the pairs that are already known.

    What Label Studio refused under the former labels may be tried again.
    """
    forget_refusals(session, project_id)
    known = current_schema(session, project_id)
    pairs = known.pairs if known else frozenset()
    save_schema(session, project_id, schema.with_pairs(pairs), config_xml=config_xml)


def latest_audit(
    session: Session, project_id: int, action: str, *, before: datetime | None = None
) -> tuple[datetime, Any] | None:
    """Return when an action was last done (before ``before``) and its detail, None if never."""
    query = select(AuditRow).where(AuditRow.project_id == project_id, AuditRow.action == action)
    if before is not None:
        query = query.where(AuditRow.at < before)
    row = session.scalar(query.order_by(AuditRow.id.desc()).limit(1))
    return None if row is None else (row.at, row.detail)


def audit(session: Session, project_id: int, *, actor: str, action: str, **detail: Any) -> None:
    """Append a line to the audit trail."""
    session.add(
        AuditRow(
            project_id=project_id,
            at=now(session),
            actor=actor,
            action=action,
            detail=detail,
        )
    )


def audit_lines(session: Session, project_id: int, *, limit: int = 10_000) -> list[dict[str, Any]]:
    """Return the newest lines of the audit trail, oldest first."""
    rows = session.scalars(
        select(AuditRow)
        .where(AuditRow.project_id == project_id)
        .order_by(AuditRow.id.desc())
        .limit(limit)
    )
    return [
        {"at": r.at.isoformat(), "actor": r.actor, "action": r.action, "detail": r.detail}
        for r in reversed(rows.all())
    ]
