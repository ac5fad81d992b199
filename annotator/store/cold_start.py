"""The warm-up: which tasks were put in front before there was a model, and which may be.

Its predictions in Label Studio carry the names below in place of a model version, so that Label
Studio serves their order. They are no model's: nothing is learnt or measured from them.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from annotator.store.gold import counts_as_gold
from annotator.store.pushes import takes
from db.tables import (
    AnnotationRow,
    DocumentRow,
    EntityRow,
    QueryChoiceRow,
    QueryLogRow,
    TaskRow,
)

__all__ = [
    "NO_MODEL",
    "WaitingTasks",
    "count_gold_types",
    "count_placed",
    "has_waiting",
    "is_warmup_name",
    "lexicon_name",
    "waiting_tasks",
]

NO_MODEL: Final = "no-model-yet"
_LEXICON: Final = "lexicon-"
_STREAM = 10_000


def lexicon_name(digest: str) -> str:
    """Return the name of a lexicon's pre-annotations; another lexicon has another name."""
    return _LEXICON + digest[:6]  # Label Studio truncates longer names on its tabs


def is_warmup_name(name: str | None) -> bool:
    """Return whether a prediction's version in Label Studio is the warm-up's, not a model's."""
    return name is not None and (name == NO_MODEL or name.startswith(_LEXICON))


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTasks:
    """The ids of open tasks that have no place yet, of the training side and of the hold-out."""

    train: NDArray[np.int64]
    holdout: NDArray[np.int64]


def _placed(name: str) -> Select[int]:
    return (
        select(QueryChoiceRow.task_id)
        .join(QueryLogRow, QueryLogRow.id == QueryChoiceRow.query_id)
        .where(
            QueryChoiceRow.task_id == TaskRow.id,
            QueryLogRow.version_id.is_(None),
            QueryLogRow.strategy == name,
        )
    )


def _waiting(project_id: int, *, name: str) -> Select[*tuple[Any, ...]]:
    return (
        select(TaskRow.id, DocumentRow.split)
        .join(DocumentRow, DocumentRow.id == TaskRow.document_id)
        .where(
            TaskRow.project_id == project_id,
            TaskRow.state == "open",
            ~_placed(name).exists(),
            takes(name),
        )
    )


def has_waiting(session: Session, project_id: int, *, name: str) -> bool:
    """Return whether there is an open task that a warm-up of this name has not placed."""
    return session.execute(_waiting(project_id, name=name).limit(1)).first() is not None


def waiting_tasks(session: Session, project_id: int, *, name: str) -> WaitingTasks:
    """Return the open tasks that a warm-up of this name has not placed, in 8 bytes a task."""
    query = _waiting(project_id, name=name).order_by(TaskRow.id)
    train, holdout = array("q"), array("q")
    for part in session.execute(query.execution_options(yield_per=_STREAM)).partitions():
        train.extend(row[0] for row in part if row[1] != "holdout")
        holdout.extend(row[0] for row in part if row[1] == "holdout")
    return WaitingTasks(
        train=np.array(train, dtype=np.int64), holdout=np.array(holdout, dtype=np.int64)
    )


def count_placed(session: Session, project_id: int, *, name: str) -> tuple[int, int]:
    """Count the tasks that a warm-up of this name has placed: those still open, then all."""
    log = select(QueryLogRow.id).where(
        QueryLogRow.project_id == project_id,
        QueryLogRow.version_id.is_(None),
        QueryLogRow.strategy == name,
    )
    counts = session.execute(
        select(TaskRow.state, func.count())
        .join(QueryChoiceRow, QueryChoiceRow.task_id == TaskRow.id)
        .where(QueryChoiceRow.query_id.in_(log))
        .group_by(TaskRow.state)
    )
    by_state = {row[0]: row[1] for row in counts}
    return by_state.get("open", 0), sum(by_state.values())


def count_gold_types(session: Session, project_id: int, types: Collection[str]) -> dict[str, int]:
    """Count the labelled entities of each of these types; 0 where there are none."""
    rows = session.execute(
        select(EntityRow.type, func.count())
        .join(AnnotationRow, AnnotationRow.id == EntityRow.annotation_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            counts_as_gold(),
        )
        .group_by(EntityRow.type)
    )
    return dict.fromkeys(types, 0) | {type_: n for type_, n in rows if type_ in types}
