"""Snapshots: the immutable list of annotation revisions that a training run sees."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true
from sqlalchemy.orm import Session

from annotator.domain import LabelSchema
from annotator.store.clock import SLACK, instant, now
from annotator.store.gold import counts_as_gold, decides_sentence
from db.tables import (
    AnnotationRow,
    DocumentRow,
    ModelVersionRow,
    SentenceRow,
    SnapshotAnnotationRow,
    SnapshotRow,
)

__all__ = [
    "Snapshot",
    "get_snapshot",
    "has_same_gold",
    "n_new_sentences",
    "oldest_new_label",
    "snapshot_sources",
    "take_snapshot",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot as stored. ``members`` maps annotation revision ids to their split."""

    id: int
    digest: str
    schema: LabelSchema
    members: Mapping[int, str]
    n_sentences: int


def take_snapshot(
    session: Session,
    project_id: int,
    *,
    schema: LabelSchema,
    members: Mapping[int, str],
    n_sentences: int,
) -> Snapshot:
    """Store a snapshot; its digest covers the members, their split and the schema."""
    lines = [f"{i}:{members[i]}" for i in sorted(members)]
    digest = hashlib.sha256("\n".join([schema.digest, *lines]).encode()).hexdigest()
    row = SnapshotRow(
        project_id=project_id,
        digest=digest,
        label_schema=schema.to_json(),
        n_annotations=len(members),
        n_sentences=n_sentences,
        created_at=now(session),
    )
    session.add(row)
    session.flush()
    session.add_all(
        SnapshotAnnotationRow(snapshot_id=row.id, annotation_id=i, split=split)
        for i, split in members.items()
    )
    return Snapshot(
        id=row.id, digest=digest, schema=schema, members=dict(members), n_sentences=n_sentences
    )


def get_snapshot(session: Session, snapshot_id: int) -> Snapshot:
    """Return a snapshot by id."""
    row = session.get_one(SnapshotRow, snapshot_id)
    members = session.execute(
        select(SnapshotAnnotationRow.annotation_id, SnapshotAnnotationRow.split).where(
            SnapshotAnnotationRow.snapshot_id == snapshot_id
        )
    )
    return Snapshot(
        id=row.id,
        digest=row.digest,
        schema=LabelSchema.from_json(row.label_schema),
        members={m[0]: m[1] for m in members},
        n_sentences=row.n_sentences,
    )


def snapshot_sources(session: Session, snapshot_id: int) -> dict[str, dict[str, int]]:
    """Count a snapshot's annotations by split and source."""
    rows = session.execute(
        select(SnapshotAnnotationRow.split, AnnotationRow.source, func.count())
        .join(AnnotationRow, AnnotationRow.id == SnapshotAnnotationRow.annotation_id)
        .where(SnapshotAnnotationRow.snapshot_id == snapshot_id)
        .group_by(SnapshotAnnotationRow.split, AnnotationRow.source)
    )
    found: dict[str, dict[str, int]] = {"train": {}, "holdout": {}}
    for split, source, n in rows:
        found[split][source] = n
    return found


def n_new_sentences(
    session: Session,
    project_id: int,
    *,
    beyond: int | None = None,
    after: datetime | None = None,
    until: datetime | None = None,
) -> tuple[int, int, datetime | None]:
    """Count what has been labelled since the last run that gave a result: a version.

    With ``beyond``, what this snapshot does not hold is new. New labels that came up to ``after``
    or later than ``until`` are left out, but for those whose time lies ahead.

    Returns:
        New gold training sentences, all gold training sentences, and when the newest label came.
    """
    gold = (
        _current_gold(project_id, func.count(SentenceRow.id), func.max(AnnotationRow.received_at))
        .join(SentenceRow, SentenceRow.document_id == AnnotationRow.document_id)
        .where(
            SentenceRow.start >= AnnotationRow.region_start,
            SentenceRow.end <= AnnotationRow.region_end,
            decides_sentence(),
        )
    )
    new = gold.where(_is_new(session, project_id, beyond))
    if after is not None:
        new = new.where(AnnotationRow.received_at > after)
    if until is not None:
        ahead = AnnotationRow.received_at > instant(session, after_s=SLACK.total_seconds())
        new = new.where((AnnotationRow.received_at <= until) | ahead)
    n_all = session.execute(gold).one()[0]
    n_new, newest = session.execute(new).one()
    return int(n_new), int(n_all), newest


def oldest_new_label(
    session: Session, project_id: int, *, beyond: int | None = None
) -> datetime | None:
    """Return when the first new label came, as ``n_new_sentences`` tells them, or None."""
    query = _training_gold(project_id, func.min(AnnotationRow.received_at))
    found: datetime | None = session.scalar(query.where(_is_new(session, project_id, beyond)))
    return found


def has_same_gold(session: Session, project_id: int, snapshot_id: int) -> bool:
    """Return whether a snapshot taken now would hold the training labels of ``snapshot_id``."""
    new = _is_new(session, project_id, snapshot_id)
    if session.scalar(_training_gold(project_id, AnnotationRow.id).where(new).limit(1)):
        return False
    gone = (
        select(SnapshotAnnotationRow.annotation_id)
        .join(AnnotationRow, AnnotationRow.id == SnapshotAnnotationRow.annotation_id)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            SnapshotAnnotationRow.snapshot_id == snapshot_id,
            SnapshotAnnotationRow.split == "train",
            (~AnnotationRow.is_current)
            | (AnnotationRow.state != "submitted")
            | (DocumentRow.split != "train"),
        )
        .limit(1)
    )
    return session.scalar(gone) is None


def _learnt_snapshot(session: Session, project_id: int) -> int | None:
    """Return the snapshot of the newest version; runs without one have used no label up."""
    return session.scalar(
        select(ModelVersionRow.snapshot_id)
        .where(ModelVersionRow.project_id == project_id)
        .order_by(ModelVersionRow.id.desc())
        .limit(1)
    )


def _training_gold(project_id: int, *columns: Any) -> Select[Any]:
    # Others are in no snapshot, so would always be new.
    return _current_gold(project_id, *columns).where(counts_as_gold())


def _current_gold(project_id: int, *columns: Any) -> Select[Any]:
    return (
        select(*columns)
        .select_from(AnnotationRow)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            DocumentRow.split == "train",
        )
    )


def _is_new(session: Session, project_id: int, beyond: int | None) -> ColumnElement[bool]:
    """Return the condition that a snapshot, by default the one last learnt, lacks an annotation."""
    last = beyond or _learnt_snapshot(session, project_id)
    if last is None:
        return true()
    return ~(
        select(SnapshotAnnotationRow.annotation_id)
        .where(
            SnapshotAnnotationRow.snapshot_id == last,
            SnapshotAnnotationRow.annotation_id == AnnotationRow.id,
        )
        .exists()
    )
