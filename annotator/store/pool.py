"""The pool: the sentences that open tasks show, read in shards so that memory stays flat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from annotator.store.documents import StoredSentence, stored_sentence
from db.tables import AcquisitionRow, DocumentRow, SentenceRow, TaskRow

__all__ = ["count_unscored", "sentences_by_id", "unscored_sentences"]

_CHUNK = 500


def _is_open() -> ColumnElement[bool]:
    """Tell of a sentence whether an open task shows it, alone or in its document."""
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
    """Return ids of sentences in open tasks that this version has not scored, in order of id.

    Args:
        session: An open session.
        project_id: The project.
        version_id: The model version.
        strategy: The query strategy whose utility is asked for.
        after: The last id of the shard before; 0 to begin.
        limit: Most ids of a shard.
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


def sentences_by_id(session: Session, ids: Sequence[int]) -> list[StoredSentence]:
    """Return sentences with their text, in order of id; a document is read once, not a sentence."""
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
