"""Label Studio tasks: the document or sentence that each one holds, and its state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from annotator.store.clock import now
from annotator.store.documents import StoredSentence, count_rows_of, stored_sentence
from annotator.store.origins import origin_of, present_origin
from annotator.store.rows import columns_of, from_row
from db.tables import AnnotationRow, DocumentRow, SentenceRow, TaskRow

__all__ = [
    "NewTask",
    "OpenTask",
    "Task",
    "add_task",
    "add_tasks",
    "count_tasks",
    "find_task",
    "known_studio_ids",
    "mark_tasks_deleted",
    "move_task",
    "note_seen",
    "open_tasks",
    "refresh_state",
    "seen_tasks",
    "task_by_id",
]

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as stored, with the region of the document that it shows."""

    id: int
    studio_id: int
    document_id: int
    sentence_id: int | None
    region: tuple[int, int]
    text: str
    document: str
    split: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task about to be stored: Label Studio's id, and what it shows."""

    studio_id: int
    document_id: int
    sentence_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task that nobody has labelled, with its sentences."""

    id: int
    studio_id: int
    document_id: int
    document: str
    split: str
    region: tuple[int, int]
    sentences: tuple[StoredSentence, ...]


def add_task(
    session: Session,
    project_id: int,
    *,
    studio_id: int,
    document_id: int,
    sentence_id: int | None,
) -> int:
    """Store a task unless it is known; return our own id of it.

    Label Studio may reuse the id of a deleted task for a new one: the old one is then set aside.
    """
    origin_id = origin_of(session, project_id, "studio")
    row = session.scalar(
        select(TaskRow).where(TaskRow.origin_id == origin_id, TaskRow.studio_id == studio_id)
    )
    if row is not None and (row.document_id, row.sentence_id) != (document_id, sentence_id):
        row.studio_id, row.state = -row.id, "deleted"
        session.flush()
        row = None
    if row is None:
        at = now(session)
        row = TaskRow(
            project_id=project_id,
            origin_id=origin_id,
            studio_id=studio_id,
            document_id=document_id,
            sentence_id=sentence_id,
            state="open",
            created_at=at,
            updated_at=at,
        )
        session.add(row)
        session.flush()
    return row.id


def add_tasks(session: Session, project_id: int, tasks: Sequence[NewTask]) -> list[int]:
    """Store many tasks as ``add_task`` does; return our own ids, in order."""
    origin_id = origin_of(session, project_id, "studio")
    taken: set[int] = set()
    for i in range(0, len(tasks), _CHUNK):
        studio_ids = [task.studio_id for task in tasks[i : i + _CHUNK]]
        query = select(TaskRow.studio_id).where(
            TaskRow.origin_id == origin_id, TaskRow.studio_id.in_(studio_ids)
        )
        taken |= set(session.scalars(query))
    at = now(session)
    fresh = [task for task in tasks if task.studio_id not in taken]
    rows = [
        {
            **columns_of(task),
            "project_id": project_id,
            "origin_id": origin_id,
            "state": "open",
            "created_at": at,
            "updated_at": at,
        }
        for task in fresh
    ]
    made = insert(TaskRow).returning(TaskRow.id, sort_by_parameter_order=True)
    new = iter(session.scalars(made, rows).all() if rows else ())
    return [
        next(new)
        if task.studio_id not in taken
        else add_task(session, project_id, **columns_of(task))
        for task in tasks
    ]


def _task(row: TaskRow, document: DocumentRow, sentence: SentenceRow | None) -> Task:
    region = (0, len(document.text)) if sentence is None else (sentence.start, sentence.end)
    return from_row(
        Task,
        row,
        region=region,
        text=document.text[region[0] : region[1]],
        document=document.name,
        split=document.split,
    )


def find_task(session: Session, project_id: int, *, studio_id: int) -> Task | None:
    """Return the task with this Label Studio id, or None."""
    found = session.execute(
        select(TaskRow, DocumentRow, SentenceRow)
        .join(DocumentRow, DocumentRow.id == TaskRow.document_id)
        .outerjoin(SentenceRow, SentenceRow.id == TaskRow.sentence_id)
        .where(TaskRow.origin_id == present_origin(project_id), TaskRow.studio_id == studio_id)
    ).first()
    return None if found is None else _task(found[0], found[1], found[2])


def task_by_id(session: Session, task_id: int) -> Task:
    """Return a task by our own id."""
    row = session.get_one(TaskRow, task_id)
    document = session.get_one(DocumentRow, row.document_id)
    sentence = session.get(SentenceRow, row.sentence_id) if row.sentence_id else None
    return _task(row, document, sentence)


def known_studio_ids(session: Session, project_id: int) -> set[int]:
    """Return Label Studio's ids of all tasks that are not deleted."""
    return set(
        session.scalars(
            select(TaskRow.studio_id).where(
                TaskRow.project_id == project_id,
                TaskRow.origin_id == present_origin(project_id),
                TaskRow.state != "deleted",
            )
        )
    )


def note_seen(session: Session, task_id: int, at: datetime | None) -> None:
    """Record that our copy of a task is up to date with its change in Label Studio at ``at``."""
    session.get_one(TaskRow, task_id).seen_at = at


def seen_tasks(
    session: Session, project_id: int, studio_ids: Sequence[int]
) -> dict[int, datetime | None]:
    """Return what ``note_seen`` stored, by Label Studio's id, without deleted tasks."""
    found: dict[int, datetime | None] = {}
    for i in range(0, len(studio_ids), _CHUNK):
        rows = session.execute(
            select(TaskRow.studio_id, TaskRow.seen_at).where(
                TaskRow.origin_id == present_origin(project_id),
                TaskRow.studio_id.in_(studio_ids[i : i + _CHUNK]),
                TaskRow.state != "deleted",
            )
        )
        found.update({row[0]: row[1] for row in rows})
    return found


def refresh_state(session: Session, task_id: int, *, revive: bool = False) -> str:
    """Derive a task's state from its annotations, store and return it.

    ``revive`` means that a task believed deleted exists after all. Only a pull may say so; a late
    event leaves it deleted.
    """
    states = set(
        session.scalars(
            select(AnnotationRow.state).where(
                AnnotationRow.task_id == task_id, AnnotationRow.is_current
            )
        )
    )
    row = session.get_one(TaskRow, task_id)
    if row.state == "deleted" and not revive:
        return row.state
    if states & {"submitted", "unread"}:
        state = "labelled"
    elif "skipped" in states:
        state = "skipped"
    else:
        state = "open"
    if row.state != state:
        row.state, row.updated_at = state, now(session)
    return state


def mark_tasks_deleted(session: Session, project_id: int, studio_ids: Iterable[int]) -> int:
    """Mark tasks that are gone from Label Studio; their labels stay. Return how many."""
    wanted, n = sorted(set(studio_ids)), 0
    for i in range(0, len(wanted), _CHUNK):
        result = session.execute(
            update(TaskRow)
            .where(
                TaskRow.origin_id == present_origin(project_id),
                TaskRow.studio_id.in_(wanted[i : i + _CHUNK]),
                TaskRow.state != "deleted",
            )
            .values(state="deleted", updated_at=now(session))
            .returning(TaskRow.id)
        )
        n += len(result.all())
    return n


def open_tasks(
    session: Session, project_id: int, *, task_ids: Sequence[int] | None = None
) -> list[OpenTask]:
    """Return the tasks without a label, each with its sentences, in order of id."""
    query = (
        select(TaskRow, DocumentRow)
        .join(DocumentRow, DocumentRow.id == TaskRow.document_id)
        .where(TaskRow.project_id == project_id, TaskRow.state == "open")
        .order_by(TaskRow.id)
    )
    if task_ids is not None:
        query = query.where(TaskRow.id.in_(list(task_ids)))
    pairs = [(t, d) for t, d in session.execute(query)]
    by_document: dict[int, list[SentenceRow]] = {}
    ids = sorted({d.id for _, d in pairs})
    for i in range(0, len(ids), _CHUNK):
        for s in session.scalars(
            select(SentenceRow)
            .where(SentenceRow.document_id.in_(ids[i : i + _CHUNK]))
            .order_by(SentenceRow.document_id, SentenceRow.ordinal)
        ):
            by_document.setdefault(s.document_id, []).append(s)
    tasks = []
    for row, document in pairs:
        rows = [
            s
            for s in by_document.get(document.id, ())
            if row.sentence_id is None or s.id == row.sentence_id
        ]
        region = (
            (0, len(document.text))
            if row.sentence_id is None or not rows
            else (rows[0].start, rows[0].end)
        )
        tasks.append(
            OpenTask(
                id=row.id,
                studio_id=row.studio_id,
                document_id=document.id,
                document=document.name,
                split=document.split,
                region=region,
                sentences=tuple(stored_sentence(s, document) for s in rows),
            )
        )
    return tasks


def count_tasks(session: Session, project_id: int) -> dict[str, int]:
    """Count tasks by state."""
    done = ("labelled", "skipped", "deleted")  # few; all others are open
    rows = session.execute(
        select(TaskRow.state, func.count())
        .where(TaskRow.project_id == project_id, TaskRow.state.in_(done))
        .group_by(TaskRow.state)
    )
    counts = {"open": 0} | dict.fromkeys(done, 0) | {row[0]: row[1] for row in rows}
    counts["open"] = count_rows_of(session, project_id, TaskRow) - sum(counts.values())
    return counts


def move_task(session: Session, task_id: int, *, document_id: int, sentence_id: int | None) -> None:
    """Point a task whose text was edited at another document."""
    row = session.get_one(TaskRow, task_id)
    row.document_id, row.sentence_id = document_id, sentence_id
    row.seen_at, row.updated_at = None, now(session)
