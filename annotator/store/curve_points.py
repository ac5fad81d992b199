"""Data for the learning curve, the advice on stopping and the worth of the queue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ScalarSelect, Select, case, func, select
from sqlalchemy.orm import Session, aliased

from annotator.store.gold import counts_as_gold
from annotator.store.rows import from_row
from db.tables import (
    AnnotationRow,
    DocumentRow,
    EvaluationRow,
    ModelVersionRow,
    PredictionRow,
    QueryChoiceRow,
    QueryLogRow,
    SentenceRow,
    TaskRow,
)

__all__ = [
    "ChosenTask",
    "PromotedVersion",
    "SharedPrediction",
    "corrected_tasks",
    "promoted_versions",
    "shared_predictions",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotedVersion:
    """A version that is or was in use, with its metrics by split."""

    id: int
    name: str
    promoted_at: datetime
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPrediction:
    """Two versions' predictions for one sentence, each as entities and relations."""

    sentence_id: int
    before: tuple[list[Any], list[Any]]
    after: tuple[list[Any], list[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenTask:
    """A task that was labelled over a prediction, why it was shown, and what was changed."""

    document_id: int
    reason: str
    n_words: int
    diff: dict[str, int]


def promoted_versions(
    session: Session, project_id: int, *, until: int | None = None, limit: int
) -> list[PromotedVersion]:
    """Return the newest ``limit`` versions that are or were in use, oldest first.

    Versions with an id above ``until`` are left out.
    """
    query = select(ModelVersionRow).where(
        ModelVersionRow.project_id == project_id,
        ModelVersionRow.state.in_(("active", "retired")),
        ModelVersionRow.promoted_at.is_not(None),
    )
    if until is not None:
        query = query.where(ModelVersionRow.id <= until)
    rows = list(session.scalars(query.order_by(ModelVersionRow.id.desc()).limit(limit)))[::-1]
    metrics: dict[int, dict[str, Any]] = {row.id: {} for row in rows}
    for found in session.scalars(
        select(EvaluationRow).where(EvaluationRow.version_id.in_(metrics))
    ):
        metrics[found.version_id][found.split] = found.metrics
    return [
        from_row(PromotedVersion, row, metrics=metrics[row.id])
        for row in rows
        if row.promoted_at is not None
    ]


def shared_predictions(
    session: Session,
    project_id: int,
    *,
    before_id: int,
    after_id: int,
    limit: int,
    of_holdout: bool = False,
) -> list[SharedPrediction]:
    """Return what two versions predict for unlabelled texts, in order of the texts' hashes.

    A hash does not depend on the meaning of a text, so the first ones are a random draw, and from
    version to version as nearly the same as labelling allows. With ``of_holdout``, only texts that
    occur in a document of the hold-out.
    """
    old = aliased(PredictionRow)
    sentence = _where_it_stands(project_id, of_holdout=of_holdout)
    rows = session.execute(
        select(
            sentence,
            *(old.entities, old.relations, PredictionRow.entities, PredictionRow.relations),
        )
        .join(old, old.text_hash == PredictionRow.text_hash)
        .where(
            PredictionRow.version_id == after_id,
            old.version_id == before_id,
            ~_labelled(project_id).exists(),
            sentence.is_not(None),
        )
        .order_by(PredictionRow.text_hash)
        .limit(limit)
    )
    return [
        SharedPrediction(sentence_id=row[0], before=(row[1], row[2]), after=(row[3], row[4]))
        for row in rows
    ]


def _labelled(project_id: int) -> Select[int]:
    """Select labelled sentences with the text of a prediction."""
    return (
        select(SentenceRow.id)
        .join(AnnotationRow, AnnotationRow.document_id == SentenceRow.document_id)
        .where(
            SentenceRow.project_id == project_id,
            SentenceRow.text_hash == PredictionRow.text_hash,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            AnnotationRow.region_start <= SentenceRow.start,
            AnnotationRow.region_end >= SentenceRow.end,
        )
    )


def _where_it_stands(project_id: int, *, of_holdout: bool) -> ScalarSelect[int]:
    """Select the first sentence with the text of a prediction."""
    query = select(func.min(SentenceRow.id)).where(
        SentenceRow.project_id == project_id, SentenceRow.text_hash == PredictionRow.text_hash
    )
    if of_holdout:
        query = query.join(DocumentRow, DocumentRow.id == SentenceRow.document_id)
        query = query.where(DocumentRow.split == "holdout")
    return query.scalar_subquery()


def corrected_tasks(session: Session, project_id: int) -> Iterator[ChosenTask]:
    """Yield the tasks of training documents that were labelled over a prediction.

    ``reason`` is that of the task's last place in the queue, and ``rest`` if that whole queue was
    in random order and so no part of a strategy's batch. Annotations accepted in bulk are left
    out: nobody checked them.
    """
    reason = (
        select(case((QueryLogRow.strategy == "random", "rest"), else_=QueryChoiceRow.reason))
        .join(QueryLogRow, QueryLogRow.id == QueryChoiceRow.query_id)
        .where(QueryChoiceRow.task_id == AnnotationRow.task_id)
        .order_by(QueryChoiceRow.query_id.desc())
        .limit(1)
        .scalar_subquery()
    )
    n_words = (
        select(func.coalesce(func.sum(SentenceRow.n_words), 0))
        .where(
            SentenceRow.document_id == AnnotationRow.document_id,
            SentenceRow.start >= AnnotationRow.region_start,
            SentenceRow.end <= AnnotationRow.region_end,
        )
        .scalar_subquery()
    )
    rows = session.execute(
        select(AnnotationRow.document_id, reason, n_words, AnnotationRow.diff)
        .join(TaskRow, TaskRow.id == AnnotationRow.task_id)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            ~AnnotationRow.bulk_created,
            AnnotationRow.diff.is_not(None),
            DocumentRow.split == "train",
            counts_as_gold(),
            reason.is_not(None),
        )
    )
    for document_id, why, words, diff in rows:
        yield ChosenTask(document_id=document_id, reason=why, n_words=int(words), diff=diff or {})
