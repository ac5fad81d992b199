"""Imports: which documents and labels came with which, so that each can be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.store.annotations import NewAnnotation, append_revision, decision_of
from annotator.store.clock import now
from annotator.store.documents import withdrawn
from annotator.store.rows import from_row
from db.in_values import in_values
from db.tables import AnnotationRow, DocumentRow, EntityRow, ImportRow, RelationRow, TaskRow

__all__ = [
    "Import",
    "begin_import",
    "close_import",
    "end_import",
    "find_import",
    "imports_of",
    "take_up_withdrawn",
    "types_without_labels",
    "undo_labels",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """An import as stored. ``detail`` counts what it brought."""

    id: int
    role: str
    created_at: datetime
    undone_at: datetime | None
    detail: Mapping[str, Any]


def begin_import(session: Session, project_id: int, *, role: str) -> int:
    """Store that an import has begun; return its id."""
    row = ImportRow(project_id=project_id, role=role, created_at=now(session), detail={})
    session.add(row)
    session.flush()
    return row.id


def end_import(session: Session, import_id: int, detail: Mapping[str, Any] | None) -> None:
    """Store what an import brought; with None, forget it, since it brought nothing."""
    if detail is None:
        session.execute(delete(ImportRow).where(ImportRow.id == import_id))
    else:
        session.get_one(ImportRow, import_id).detail = dict(detail)


def imports_of(session: Session, project_id: int, *, limit: int) -> list[Import]:
    """Return the newest imports, newest first."""
    rows = session.scalars(
        select(ImportRow)
        .where(ImportRow.project_id == project_id)
        .order_by(ImportRow.id.desc())
        .limit(limit)
    )
    return [from_row(Import, row) for row in rows]


def find_import(session: Session, project_id: int, import_id: int | None) -> Import:
    """Return an import by id; with None, the last that has not been undone.

    Raises:
        NotFoundError: if there is none.
    """
    query = select(ImportRow).where(ImportRow.project_id == project_id)
    if import_id is None:
        query = query.where(ImportRow.undone_at.is_(None)).order_by(ImportRow.id.desc()).limit(1)
    else:
        query = query.where(ImportRow.id == import_id)
    row = session.scalar(query)
    if row is None:
        what = "no import to undo" if import_id is None else f"no import {import_id}"
        raise NotFoundError(f"there is {what}; annotator import lists them")
    return from_row(Import, row)


def undo_labels(session: Session, import_id: int, *, limit: int) -> tuple[int, int]:
    """Put labels that came with an import back to what they were before, by new revisions.

    Where there was nothing before, the new revision is ``deleted``.

    Returns:
        How many labels were looked at (0 if none is left), and how many have others again.
    """
    rows = session.scalars(
        select(AnnotationRow)
        .where(
            AnnotationRow.import_id == import_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
        )
        .order_by(AnnotationRow.id)
        .limit(limit)
    ).all()
    n_restored = 0
    for row in rows:
        before = _before(session, row)
        if before is None:
            new = _deletion(session, row)
        else:
            new, n_restored = decision_of(session, before), n_restored + 1
        append_revision(session, new, after=row)
    return len(rows), n_restored


def _before(session: Session, row: AnnotationRow) -> AnnotationRow | None:
    """Return the last earlier revision that no undone import brought."""
    undone = select(ImportRow.id).where(ImportRow.undone_at.is_not(None))
    found = session.scalar(
        select(AnnotationRow)
        .where(
            AnnotationRow.project_id == row.project_id,
            AnnotationRow.source == row.source,
            AnnotationRow.external_id == row.external_id,
            AnnotationRow.revision < row.revision,
            or_(
                AnnotationRow.import_id.is_(None),
                (AnnotationRow.import_id != row.import_id) & AnnotationRow.import_id.not_in(undone),
            ),
        )
        .order_by(AnnotationRow.revision.desc())
        .limit(1)
    )
    return None if found is None or found.state != "submitted" else found


def _deletion(session: Session, row: AnnotationRow) -> NewAnnotation:
    return NewAnnotation(
        project_id=row.project_id,
        document_id=row.document_id,
        task_id=row.task_id,
        source=row.source,
        external_id=row.external_id,
        state="deleted",
        region=(row.region_start, row.region_end),
        entities=(),
        relations=(),
        created_at=now(session),
        annotator=row.annotator,
        import_id=row.import_id,
    )


def close_import(session: Session, project_id: int, import_id: int) -> dict[str, int]:
    """Withdraw the documents that came with an import, but those labelled since, and mark it.

    Returns:
        How many documents are ``withdrawn``, how many of them have ``tasks`` in Label Studio, and
        how many were ``kept`` since they are labelled.
    """
    label = (
        select(func.max(func.coalesce(AnnotationRow.import_id, 0)))
        .where(
            AnnotationRow.document_id == DocumentRow.id,
            AnnotationRow.is_current,
            AnnotationRow.state != "deleted",
        )
        .scalar_subquery()
    )
    ours = (DocumentRow.project_id == project_id, DocumentRow.import_id == import_id)
    rows = session.execute(select(DocumentRow.id, label).where(*ours)).all()
    kept = {row[0]: row[1] or None for row in rows if row[1] is not None}
    for document_id, other in kept.items():
        session.execute(
            update(DocumentRow).where(DocumentRow.id == document_id).values(import_id=other)
        )
    has_task = select(TaskRow.id).where(
        TaskRow.document_id == DocumentRow.id, TaskRow.state != "deleted"
    )
    n_tasks = session.scalar(
        select(func.count()).select_from(DocumentRow).where(*ours, has_task.exists())
    )
    session.get_one(ImportRow, import_id).undone_at = now(session)
    return {"withdrawn": len(rows) - len(kept), "tasks": int(n_tasks or 0), "kept": len(kept)}


def types_without_labels(session: Session, project_id: int, types: Sequence[str]) -> set[str]:
    """Return those of these types of entities and relations that no current label has."""
    used: set[str] = set()
    for table in (EntityRow, RelationRow):
        used |= set(
            session.scalars(
                select(table.type)
                .join(AnnotationRow, AnnotationRow.id == table.annotation_id)
                .where(
                    AnnotationRow.project_id == project_id,
                    AnnotationRow.is_current,
                    table.type.in_(list(types)),
                )
                .distinct()
            )
        )
    return set(types) - used


def take_up_withdrawn(
    session: Session, project_id: int, hashes: Mapping[str, str], *, import_id: int
) -> int:
    """Make room for documents that come again after their import was undone.

    One of the same text is taken up again. One of another text gives up its name. ``hashes`` are
    the texts' by name.

    Returns:
        How many were taken up again.
    """
    n = 0
    rows = session.scalars(
        select(DocumentRow).where(
            DocumentRow.project_id == project_id,
            in_values(session, DocumentRow.name, sorted(hashes)),
            DocumentRow.id.in_(withdrawn()),
        )
    )
    for row in rows:
        if row.text_hash == hashes[row.name]:
            row.import_id, n = import_id, n + 1
        else:
            row.name = f"{row.name[:370]}~withdrawn-{row.id}"
    session.flush()
    return n
