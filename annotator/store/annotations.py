"""Annotations: append-only revisions of what people decided."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from annotator.domain import Entity, Relation
from annotator.store.clock import now
from annotator.store.documents import shown_of
from annotator.store.learnable import find_unlearnt
from annotator.store.origins import origin_of, own_origin, present_origin
from annotator.store.rows import columns_of, from_row
from db.tables import AnnotationRow, EntityRow, RelationRow, TaskRow

__all__ = [
    "NewAnnotation",
    "append_revision",
    "correction_totals",
    "current_labels",
    "current_revision",
    "decision_of",
    "latest_revision",
    "mark_deleted",
    "record_annotation",
    "reread",
    "studio_annotations",
    "studio_ids",
    "task_of_annotation",
]

#: What ``AnnotationRow.diff`` counts.
_CHANGES = tuple(
    f"{kind}_{how}"
    for kind in ("entities", "relations")
    for how in ("kept", "relabelled", "rebounded", "removed", "added")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnnotation:
    """One person's labels for ``region`` of a document, as they came. Offsets count in it."""

    project_id: int
    document_id: int
    task_id: int | None
    source: str
    external_id: str
    state: str
    region: tuple[int, int]
    entities: Sequence[Entity]
    relations: Sequence[Relation]
    created_at: datetime
    raw: Any = None
    annotator: str | None = None
    ground_truth: bool = False
    bulk_created: bool = False
    lead_time_s: float | None = None
    parent_prediction: int | None = None
    parent_version: str | None = None
    diff: dict[str, Any] | None = None
    issues: Sequence[Mapping[str, Any]] = ()
    read_by: str | None = None
    import_id: int | None = None

    def content_hash(self) -> str:
        """Hash what a person decided, so that receiving it twice changes nothing.

        That is the raw result where there is one: what we read from it also depends on the text
        and the configuration, which are not the annotator's decisions.
        """
        content = {
            "state": "submitted" if self.state == "unread" else self.state,
            "ground_truth": self.ground_truth,
            "annotator": self.annotator,
            "raw": self.raw,
        }
        if self.raw is None:
            content["entities"] = sorted([e.id, e.type, e.start, e.end] for e in self.entities)
            content["relations"] = sorted(
                [r.type or "", r.head, r.tail, r.bidirectional] for r in self.relations
            )
        packed = json.dumps(content, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(packed.encode()).hexdigest()


def current_revision(
    session: Session, project_id: int, *, source: str, external_id: str
) -> AnnotationRow | None:
    """Return the newest revision's row (store-internal), or None.

    Of Label Studio's annotations, only those of the present Label Studio project are known by id.
    """
    origin = present_origin(project_id) if source == "studio" else own_origin(project_id)
    return session.scalar(
        select(AnnotationRow).where(
            AnnotationRow.origin_id == origin,
            AnnotationRow.source == source,
            AnnotationRow.external_id == external_id,
            AnnotationRow.is_current,
        )
    )


def current_labels(session: Session, project_id: int, *, source: str, external_id: str) -> int:
    """Count the entities of what an annotation says now; 0 if it is skipped, deleted or unknown."""
    row = current_revision(session, project_id, source=source, external_id=external_id)
    if row is None or row.state != "submitted":
        return 0
    query = select(func.count(EntityRow.id)).where(EntityRow.annotation_id == row.id)
    return int(session.scalar(query) or 0)


def record_annotation(
    session: Session, new: NewAnnotation, *, pulled_after: int | None = None
) -> bool:
    """Append a revision, unless the current one says the same or is newer.

    ``pulled_after`` is the newest revision (its id) at the start of a pull, which sees Label Studio
    as it is: what it read is newer than that one and all before it, whatever the clocks say, and
    an annotation believed deleted exists after all. An event may just be late.

    Returns:
        True if a revision was added.
    """
    digest = new.content_hash()
    before = current_revision(
        session, new.project_id, source=new.source, external_id=new.external_id
    )
    if before is not None:
        revive = pulled_after is not None and before.id <= pulled_after
        if _is_old_news(before, new, digest, revive=revive):
            if before.diff is None and before.content_hash == digest:
                # The event lacked the prediction that the annotation began with; the pull has it.
                before.diff, before.parent_version = new.diff, new.parent_version
            if before.read_by != new.read_by and before.content_hash == digest:
                return reread(session, before, new)
            if not revive or before.task_id == new.task_id:
                return False
            new = replace(decision_of(session, before), task_id=new.task_id)
    append_revision(session, new, after=before)
    return True


def reread(session: Session, before: AnnotationRow, new: NewAnnotation) -> bool:
    """Take over what another reader made of the same decision; True if the labels are others.

    They are a revision then, since snapshots hold revisions. A reading that finds less, because the
    configuration no longer has the names, does not replace the earlier one: it is only counted.
    (Store-internal.)
    """
    if not _shows_the_same(session, before, new):
        return False  # the labels stay with the text they were given for
    old = decision_of(session, before)
    if _n_lost(new.issues) > _n_lost(before.issues):
        unread = [{**one, "kept": True} for one in new.issues if one["kind"] == "unread"]
        before.issues = [*(i for i in before.issues if i["kind"] != "unread"), *unread]
    elif _facts(old) != _facts(new):
        new = replace(new, parent_version=new.parent_version or before.parent_version)
        append_revision(session, new, after=before)
        return True
    else:
        before.issues = [*map(dict, new.issues), *(i for i in before.issues if "learnt" in i)]
    before.read_by = new.read_by
    return False


def _shows_the_same(session: Session, before: AnnotationRow, new: NewAnnotation) -> bool:
    if (before.document_id, before.region_start, before.region_end) == (
        new.document_id,
        *new.region,
    ):
        return True
    shown = shown_of(session, before.document_id)  # the same page may be read as another text
    return shown is not None and shown == shown_of(session, new.document_id)


def _n_lost(issues: Sequence[Mapping[str, Any]]) -> int:
    return sum(one["kind"] in ("unread", "unsupported") and not one["kept"] for one in issues)


def _facts(new: NewAnnotation) -> tuple[Any, ...]:
    entities = sorted((e.id, e.type, e.start, e.end) for e in new.entities)
    relations = sorted((r.type or "", r.head, r.tail, r.bidirectional) for r in new.relations)
    return new.state, new.document_id, new.region, entities, relations


def append_revision(session: Session, new: NewAnnotation, *, after: AnnotationRow | None) -> None:
    """Store a revision that follows on the current one, whatever that says (store-internal)."""
    if after is not None:
        session.execute(
            update(AnnotationRow).where(AnnotationRow.id == after.id).values(is_current=False)
        )
    row = AnnotationRow(
        **columns_of(new, but=("region", "entities", "relations", "issues")),
        origin_id=origin_of(session, new.project_id, new.source),
        revision=1 if after is None else after.revision + 1,
        is_current=True,
        region_start=new.region[0],
        region_end=new.region[1],
        issues=[*(dict(i) for i in new.issues if "learnt" not in i), *_unlearnt(session, new)],
        content_hash=new.content_hash(),
        received_at=now(session),
    )
    session.add(row)
    session.flush()
    _insert_labels(session, row.id, new)


def _unlearnt(session: Session, new: NewAnnotation) -> list[dict[str, Any]]:
    if new.state != "submitted":
        return []
    return find_unlearnt(
        session,
        new.project_id,
        document_id=new.document_id,
        region=new.region,
        entities=new.entities,
        relations=new.relations,
    )


def _insert_labels(session: Session, annotation_id: int, new: NewAnnotation) -> None:
    if new.entities:
        session.execute(
            insert(EntityRow),
            [
                {
                    "annotation_id": annotation_id,
                    "local_id": e.id,
                    "type": e.type,
                    "start": e.start,
                    "end": e.end,
                }
                for e in new.entities
            ],
        )
    if new.relations:
        session.execute(
            insert(RelationRow),
            [
                {
                    "annotation_id": annotation_id,
                    "type": r.type,
                    "head": r.head,
                    "tail": r.tail,
                    "bidirectional": r.bidirectional,
                }
                for r in new.relations
            ],
        )


def _is_old_news(before: AnnotationRow, new: NewAnnotation, digest: str, *, revive: bool) -> bool:
    if before.state == "deleted":
        # Where clocks differ, the deletion's time may be no later than the annotation's.
        return before.content_hash == digest or (not revive and new.created_at <= before.created_at)
    place = (before.document_id, before.region_start, before.region_end)
    if before.content_hash != digest:
        return not revive and new.created_at < before.created_at
    if new.source == "import" and place == (new.document_id, *new.region):
        return True  # the time is that of the import, not of a decision
    # Submitted again, it is a later decision, on the text as it was then: which of two annotators
    # counts must not depend on whether we received what was in between.
    return new.created_at <= before.created_at


def decision_of(session: Session, row: AnnotationRow) -> NewAnnotation:
    """Return what a revision says, to be said again (store-internal)."""
    entities = session.scalars(
        select(EntityRow).where(EntityRow.annotation_id == row.id).order_by(EntityRow.id)
    )
    relations = session.scalars(
        select(RelationRow).where(RelationRow.annotation_id == row.id).order_by(RelationRow.id)
    )
    return from_row(
        NewAnnotation,
        row,
        region=(row.region_start, row.region_end),
        entities=[Entity(id=e.local_id, type=e.type, start=e.start, end=e.end) for e in entities],
        relations=[
            Relation(type=r.type, head=r.head, tail=r.tail, bidirectional=r.bidirectional)
            for r in relations
        ],
    )


def mark_deleted(session: Session, project_id: int, *, external_id: str, at: datetime) -> bool:
    """Append a ``deleted`` revision to a Label Studio annotation; earlier ones keep the labels.

    Returns:
        True if the annotation was known and not yet deleted.
    """
    before = current_revision(session, project_id, source="studio", external_id=external_id)
    if before is None or before.state == "deleted":
        return False
    return record_annotation(
        session,
        NewAnnotation(
            project_id=project_id,
            document_id=before.document_id,
            task_id=before.task_id,
            source="studio",
            external_id=external_id,
            state="deleted",
            region=(before.region_start, before.region_end),
            entities=(),
            relations=(),
            created_at=max(at, before.created_at),
            annotator=before.annotator,
        ),
    )


def latest_revision(session: Session) -> int:
    """Return the id of the newest revision of any annotation, 0 if there is none."""
    return session.scalar(select(func.max(AnnotationRow.id))) or 0


def studio_ids(session: Session, project_id: int, *, task_id: int, up_to: int) -> set[str]:
    """Return the Label Studio ids of a task's annotations, not deleted, up to a revision's id."""
    return set(
        session.scalars(
            select(AnnotationRow.external_id).where(
                AnnotationRow.project_id == project_id,
                AnnotationRow.task_id == task_id,
                AnnotationRow.source == "studio",
                AnnotationRow.origin_id == present_origin(project_id),
                AnnotationRow.is_current,
                AnnotationRow.state != "deleted",
                AnnotationRow.id <= up_to,
            )
        )
    )


def task_of_annotation(session: Session, project_id: int, *, external_id: str) -> int | None:
    """Return our task of a Label Studio annotation, or None if the annotation is unknown."""
    row = current_revision(session, project_id, source="studio", external_id=external_id)
    return None if row is None else row.task_id


def studio_annotations(session: Session, project_id: int) -> dict[str, dict[str, Any]]:
    """Return id and raw result of submitted annotations of the present Label Studio project.

    The keys are Label Studio's task ids.
    """
    rows = session.execute(
        select(TaskRow.studio_id, AnnotationRow.external_id, AnnotationRow.raw)
        .join(TaskRow, TaskRow.id == AnnotationRow.task_id)
        .where(
            AnnotationRow.origin_id == present_origin(project_id),
            AnnotationRow.source == "studio",
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
        )
    )
    return {str(row[0]): {"id": row[1], "raw": row[2]} for row in rows}


def correction_totals(session: Session, project_id: int) -> dict[str, int]:
    """Sum what annotators kept and changed of predictions, over current annotations.

    Annotations accepted in bulk do not count: nobody checked them.
    """
    row = session.execute(
        select(*(func.sum(AnnotationRow.diff[name].as_integer()) for name in _CHANGES)).where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            ~AnnotationRow.bulk_created,
            AnnotationRow.diff.is_not(None),
        )
    ).one()
    return {name: int(n) for name, n in zip(_CHANGES, row, strict=True) if n is not None}
