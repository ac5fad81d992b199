"""The pool: the sentences that open tasks show, read in shards so that memory stays constant."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from annotator.store.documents import StoredSentence, stored_sentence
from db.in_values import in_values
from db.tables import AcquisitionRow, DocumentRow, PredictionRow, SentenceRow, TaskRow

__all__ = [
    "PoolTasks",
    "count_unscored",
    "open_range",
    "open_sentences",
    "pool_tasks",
    "sentences_by_id",
    "task_embeddings",
    "task_texts",
    "unscored_sentences",
]

_CHUNK = 500
_STREAM = 10_000
_HARDEST = 3  # a task's utility is the mean of its three most useful sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTasks:
    """Open tasks as columns, ordered by id: 25 bytes a task.

    ``utilities`` is NaN where a task has sentences and none of them is scored.
    """

    ids: NDArray[np.int64]
    documents: NDArray[np.int64]
    utilities: NDArray[np.float64]
    holdout: NDArray[np.bool_]


def _is_open() -> ColumnElement[bool]:
    """Return the condition that an open task shows a sentence, alone or in its document."""
    alone = select(TaskRow.id).where(TaskRow.sentence_id == SentenceRow.id, TaskRow.state == "open")
    within = select(TaskRow.id).where(
        TaskRow.document_id == SentenceRow.document_id,
        TaskRow.sentence_id.is_(None),
        TaskRow.state == "open",
    )
    return alone.exists() | within.exists()


def _unscored(
    columns: Select[Any], project_id: int, *, version_id: int, strategy: str, after: int
) -> Select[Any]:
    scored = select(AcquisitionRow.id).where(
        AcquisitionRow.version_id == version_id,
        AcquisitionRow.strategy == strategy,
        AcquisitionRow.sentence_id == SentenceRow.id,
    )
    return columns.where(
        SentenceRow.project_id == project_id,
        SentenceRow.id > after,
        ~scored.exists(),
        _is_open(),
    )


def unscored_sentences(
    session: Session, project_id: int, *, version_id: int, strategy: str, after: int, limit: int
) -> list[int]:
    """Return a shard of ids of sentences in open tasks that this version has not scored, ordered.

    ``after`` is the last id of the previous shard, 0 to begin.
    """
    query = _unscored(
        select(SentenceRow.id), project_id, version_id=version_id, strategy=strategy, after=after
    )
    return list(session.scalars(query.order_by(SentenceRow.id).limit(limit)))


def count_unscored(session: Session, project_id: int, *, version_id: int, strategy: str) -> int:
    """Count the sentences of open tasks that this version has not scored."""
    query = select(func.count()).select_from(SentenceRow)
    found = session.scalar(
        _unscored(query, project_id, version_id=version_id, strategy=strategy, after=0)
    )
    return int(found or 0)


def open_sentences(session: Session, project_id: int) -> NDArray[np.int64]:
    """Return the ids of all sentences that open tasks show, 8 bytes each, in order."""
    query = select(SentenceRow.id).where(SentenceRow.project_id == project_id, _is_open())
    rows = session.scalars(query.order_by(SentenceRow.id).execution_options(yield_per=_STREAM))
    return np.fromiter(rows, dtype=np.int64)


def sentences_by_id(session: Session, ids: Sequence[int]) -> list[StoredSentence]:
    """Return sentences with their text, in order of id; each document is read only once."""
    wanted = sorted(set(ids))
    rows: list[SentenceRow] = []
    documents: dict[int, DocumentRow] = {}
    for i in range(0, len(wanted), _CHUNK):
        part = wanted[i : i + _CHUNK]
        query = select(SentenceRow).where(SentenceRow.id.in_(part)).order_by(SentenceRow.id)
        found = list(session.scalars(query))
        rows += found
        missing = sorted({s.document_id for s in found} - documents.keys())
        for document in session.scalars(select(DocumentRow).where(DocumentRow.id.in_(missing))):
            documents[document.id] = document
    return [stored_sentence(row, documents[row.document_id]) for row in rows]


def open_range(session: Session, project_id: int) -> tuple[int, int, int]:
    """Return how many tasks are open, and their lowest and highest id (0 if there are none)."""
    wanted = (TaskRow.project_id == project_id, TaskRow.state == "open")
    n = session.scalar(select(func.count()).select_from(TaskRow).where(*wanted))
    least = session.scalar(select(func.min(TaskRow.id)).where(*wanted))
    greatest = session.scalar(select(func.max(TaskRow.id)).where(*wanted))
    return int(n or 0), int(least or 0), int(greatest or 0)


def pool_tasks(
    session: Session,
    project_id: int,
    *,
    version_id: int,
    strategy: str,
    ids: Sequence[int] | None = None,
) -> PoolTasks:
    """Return the open tasks, or those among ``ids``, with their utilities.

    Tasks in ``ids`` are looked up by key.
    """
    columns = _Columns()
    parts = [None] if ids is None else [ids[i : i + _CHUNK] for i in range(0, len(ids), _CHUNK)]
    for part in parts:
        for query in _task_utilities(project_id, version_id=version_id, strategy=strategy):
            asked = query if part is None else query.where(in_values(session, TaskRow.id, part))
            columns.read(session, asked)
    found = columns.to_tasks()
    holdout = _holdout_among(session, project_id, None if ids is None else found[1])
    return PoolTasks(
        ids=found[0],
        documents=found[1],
        utilities=found[2],
        holdout=np.isin(found[1], holdout),
    )


def _task_utilities(
    project_id: int, *, version_id: int, strategy: str
) -> tuple[Select[*tuple[Any, ...]], ...]:
    """Select (task, document, sentence, utility), of sentence tasks and of document tasks."""
    is_open = (TaskRow.project_id == project_id, TaskRow.state == "open")
    by_version = (AcquisitionRow.version_id == version_id) & (AcquisitionRow.strategy == strategy)
    return (
        select(TaskRow.id, TaskRow.document_id, TaskRow.sentence_id, AcquisitionRow.utility)
        .outerjoin(AcquisitionRow, by_version & (AcquisitionRow.sentence_id == TaskRow.sentence_id))
        .where(*is_open, TaskRow.sentence_id.is_not(None)),
        select(TaskRow.id, TaskRow.document_id, SentenceRow.id, AcquisitionRow.utility)
        .outerjoin(SentenceRow, SentenceRow.document_id == TaskRow.document_id)
        .outerjoin(AcquisitionRow, by_version & (AcquisitionRow.sentence_id == SentenceRow.id))
        .where(*is_open, TaskRow.sentence_id.is_(None)),
    )


class _Columns:
    """Rows of tasks' sentences, collected into arrays."""

    def __init__(self) -> None:
        self.tasks, self.documents, self.utilities = array("q"), array("q"), array("d")

    def read(self, session: Session, query: Select[*tuple[Any, ...]]) -> None:
        rows = session.execute(query.execution_options(yield_per=_STREAM))
        for part in rows.partitions():
            self.tasks.extend(row[0] for row in part)
            self.documents.extend(row[1] for row in part)
            self.utilities.extend(
                0.0 if row[2] is None else np.nan if row[3] is None else row[3] for row in part
            )

    def to_tasks(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Average the utilities of each task's most useful sentences; tasks in order of id."""
        tasks = np.frombuffer(self.tasks, dtype=np.int64)
        documents = np.frombuffer(self.documents, dtype=np.int64)
        utilities = np.frombuffer(self.utilities, dtype=np.float64)
        order = np.lexsort((-utilities, tasks))  # by task, the most useful first, NaN last
        tasks, documents, utilities = tasks[order], documents[order], utilities[order]
        first = np.flatnonzero(np.diff(tasks, prepend=-1))
        sizes = np.diff(first, append=len(tasks))
        place = np.arange(len(tasks)) - np.repeat(first, sizes)
        counts = (place < _HARDEST) & ~np.isnan(utilities)
        owner = np.repeat(np.arange(len(first)), sizes)
        n_counted = np.bincount(owner[counts], minlength=len(first))
        total = np.bincount(owner[counts], weights=utilities[counts], minlength=len(first))
        mean = np.divide(total, n_counted, out=np.full(len(first), np.nan), where=n_counted > 0)
        return tasks[first], documents[first], mean


def _holdout_among(
    session: Session, project_id: int, documents: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    query = select(DocumentRow.id).where(
        DocumentRow.project_id == project_id, DocumentRow.split == "holdout"
    )
    if documents is None:
        return np.fromiter(session.scalars(query), dtype=np.int64)
    wanted, found = np.unique(documents).tolist(), list[int]()
    for i in range(0, len(wanted), _CHUNK):
        part = wanted[i : i + _CHUNK]
        found += session.scalars(query.where(in_values(session, DocumentRow.id, part)))
    return np.array(found, dtype=np.int64)


def task_embeddings(
    session: Session, version_id: int, task_ids: Sequence[int]
) -> dict[int, NDArray[np.float32]]:
    """Return the L2-normalised mean embedding of each task's sentences, where any is known."""
    sums: dict[int, NDArray[np.float32]] = {}
    alone = SentenceRow.id == TaskRow.sentence_id
    within = TaskRow.sentence_id.is_(None) & (SentenceRow.document_id == TaskRow.document_id)
    for i in range(0, len(task_ids), _CHUNK):
        for shown in (alone, within):  # two queries, so that each walks along an index
            rows = session.execute(
                select(TaskRow.id, PredictionRow.embedding)
                .join(SentenceRow, shown)
                .join(PredictionRow, PredictionRow.text_hash == SentenceRow.text_hash)
                .where(
                    in_values(session, TaskRow.id, task_ids[i : i + _CHUNK]),
                    PredictionRow.version_id == version_id,
                )
                .order_by(TaskRow.id, SentenceRow.id)
            )
            for task_id, embedding in rows:
                row = np.frombuffer(embedding, dtype=np.float16).astype(np.float32)
                sums[task_id] = sums[task_id] + row if task_id in sums else row
    return {
        task_id: total / max(float(np.linalg.norm(total)), 1e-12) for task_id, total in sums.items()
    }


def task_texts(session: Session, task_ids: Sequence[int]) -> dict[int, str]:
    """Return what each task shows: its sentence, or its document."""
    start = func.coalesce(SentenceRow.start, 0)
    end = func.coalesce(SentenceRow.end, func.length(DocumentRow.text))
    texts: dict[int, str] = {}
    for i in range(0, len(task_ids), _CHUNK):
        rows = session.execute(
            select(TaskRow.id, func.substr(DocumentRow.text, start + 1, end - start))
            .select_from(TaskRow)
            .join(DocumentRow, DocumentRow.id == TaskRow.document_id)
            .outerjoin(SentenceRow, SentenceRow.id == TaskRow.sentence_id)
            .where(in_values(session, TaskRow.id, task_ids[i : i + _CHUNK]))
        )
        texts.update((task_id, text) for task_id, text in rows)
    return texts
