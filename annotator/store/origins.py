"""Origins: the Label Studio projects that tasks and annotations came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ScalarSelect, func, select, update
from sqlalchemy.orm import Session

from annotator.store.clock import now
from db.tables import AnnotationRow, DocumentRow, OriginRow, ProjectRow, SentenceRow, TaskRow

__all__ = [
    "FoundTask",
    "adopt_tasks",
    "ensure_origin",
    "note_stranger",
    "origin_of",
    "other_origins",
    "own_origin",
    "present_origin",
    "set_apart",
    "stranger_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTask:
    """A task as Label Studio has it: its id, its text, and who made which annotation of it."""

    studio_id: int
    text: str
    annotators: Mapping[str, str | None]


def present_origin(project_id: int) -> ScalarSelect[int]:
    """Select the origin of what the project gets from Label Studio now."""
    return (
        select(OriginRow.id)
        .join(ProjectRow, ProjectRow.id == OriginRow.project_id)
        .where(
            ProjectRow.id == project_id,
            OriginRow.host == func.coalesce(ProjectRow.studio_host, ""),
            OriginRow.key == func.coalesce(ProjectRow.studio_key, ""),
        )
        .correlate(None)
        .scalar_subquery()
    )


def own_origin(project_id: int) -> ScalarSelect[int]:
    """Select the origin of what did not come from Label Studio."""
    return (
        select(OriginRow.id)
        .where(OriginRow.project_id == project_id, OriginRow.host == "", OriginRow.key == "")
        .correlate(None)
        .scalar_subquery()
    )


def origin_of(session: Session, project_id: int, source: str) -> int:
    """Return the origin of what comes from ``source`` (``studio`` or ``import``) now."""
    find = present_origin if source == "studio" else own_origin
    return session.execute(select(find(project_id))).scalar_one()


def ensure_origin(session: Session, project_id: int, *, host: str, key: str) -> int:
    """Return the origin with this identity, storing it if it is new."""
    query = select(OriginRow).where(
        OriginRow.project_id == project_id, OriginRow.host == host, OriginRow.key == key
    )
    row = session.scalar(query)
    if row is None:
        row = OriginRow(project_id=project_id, host=host, key=key)
        session.add(row)
        session.flush()
    return row.id


def other_origins(session: Session, project_id: int, *, key: str | None = None) -> list[int]:
    """Return the Label Studio projects that ours was connected to before, the latest first.

    With ``key`` only those with that key: the same project at another address.
    """
    query = select(OriginRow.id).where(
        OriginRow.project_id == project_id,
        OriginRow.key != "",
        OriginRow.id != present_origin(project_id),
    )
    if key is not None:
        query = query.where(OriginRow.key == key)
    return list(session.scalars(query.order_by(OriginRow.id.desc())))


def set_apart(session: Session, project_id: int, origin_id: int) -> None:
    """Mark tasks of all other origins as deleted: they cannot be seen from here. Labels stay."""
    session.execute(
        update(TaskRow)
        .where(
            TaskRow.project_id == project_id,
            TaskRow.origin_id != origin_id,
            TaskRow.state != "deleted",
        )
        .values(state="deleted", updated_at=now(session))
    )


def adopt_tasks(
    session: Session, project_id: int, former: Sequence[int], found: Collection[FoundTask]
) -> int:
    """Give the present origin to tasks of ``former`` ones that are the same as those found.

    A task is the same if id and text are, and an annotation of it if id and annotator are. All
    others keep their origin, and so their labels. Return how many tasks were taken over.
    """
    present = origin_of(session, project_id, "studio")
    taken = set(
        session.scalars(
            select(TaskRow.studio_id).where(
                TaskRow.origin_id == present,
                TaskRow.studio_id.in_([task.studio_id for task in found]),
            )
        )
    )
    n = 0
    for task in found:
        row = None if task.studio_id in taken else _same_task(session, former, task)
        if row is None:
            continue
        _adopt_annotations(session, row, present, task.annotators)
        row.origin_id = present
        n += 1
    session.flush()
    return n


def _same_task(session: Session, former: Sequence[int], task: FoundTask) -> TaskRow | None:
    rows = session.execute(
        select(TaskRow, DocumentRow.text, SentenceRow.start, SentenceRow.end)
        .join(DocumentRow, DocumentRow.id == TaskRow.document_id)
        .outerjoin(SentenceRow, SentenceRow.id == TaskRow.sentence_id)
        .where(TaskRow.origin_id.in_(former), TaskRow.studio_id == task.studio_id)
        .order_by(TaskRow.origin_id.desc())
    )
    return next((row for row, text, a, b in rows if text[a:b] == task.text), None)


def _adopt_annotations(
    session: Session, task: TaskRow, present: int, annotators: Mapping[str, str | None]
) -> None:
    current = session.scalars(
        select(AnnotationRow).where(
            AnnotationRow.task_id == task.id,
            AnnotationRow.origin_id == task.origin_id,
            AnnotationRow.external_id.in_(list(annotators)),
            AnnotationRow.is_current,
        )
    ).all()
    same = [row.external_id for row in current if row.annotator == annotators[row.external_id]]
    session.execute(
        update(AnnotationRow)
        .where(
            AnnotationRow.origin_id == task.origin_id,
            AnnotationRow.source == "studio",
            AnnotationRow.external_id.in_(same),
        )
        .values(origin_id=present)
    )


def note_stranger(session: Session, project_id: int, key: str | None) -> None:
    """Remember which other project answered in the place of ours; None if ours did."""
    row = session.get_one(OriginRow, origin_of(session, project_id, "studio"))
    row.stranger = key


def stranger_of(session: Session, project_id: int) -> str | None:
    """Return the key of the project that was last found in the place of ours, or None."""
    return session.scalar(
        select(OriginRow.stranger).where(OriginRow.id == present_origin(project_id))
    )
