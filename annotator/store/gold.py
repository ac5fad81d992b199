"""Gold: the labels that count, out of all revisions.

Of a stretch of text one annotation is the truth: one with a star before one without; what somebody
labelled in Label Studio before an import, whose labels are of unknown age, and before a prediction
accepted in bulk, which nobody read; then the latest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, func, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from annotator.domain import Document, Entity, Relation
from db.tables import AnnotationRow, DocumentRow, EntityRow, RelationRow, SentenceRow

__all__ = [
    "GoldUnit",
    "count_gold",
    "counts_as_gold",
    "decides_sentence",
    "gold_units",
    "newest_gold_sentences",
    "newest_gold_texts",
    "rank",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldUnit:
    """Labels that count: a stretch of a document with its labels.

    ``document`` holds the stretch's text, with offsets from its start; if it is the whole document,
    it is that document. An annotation of which others outrank a part has several stretches.
    """

    annotation_id: int
    document_id: int
    document: Document
    source_document: str
    region: tuple[int, int]
    split: str
    group: str
    created_at: datetime
    source: str = "import"
    meta: dict[str, Any] = field(default_factory=dict)


def _labels_of(
    session: Session, ids: Sequence[int]
) -> tuple[dict[int, list[EntityRow]], dict[int, list[RelationRow]]]:
    entities: dict[int, list[EntityRow]] = {}
    relations: dict[int, list[RelationRow]] = {}
    for entity in session.scalars(
        select(EntityRow).where(EntityRow.annotation_id.in_(ids)).order_by(EntityRow.id)
    ):
        entities.setdefault(entity.annotation_id, []).append(entity)
    for relation in session.scalars(
        select(RelationRow).where(RelationRow.annotation_id.in_(ids)).order_by(RelationRow.id)
    ):
        relations.setdefault(relation.annotation_id, []).append(relation)
    return entities, relations


def _unit(
    row: AnnotationRow,
    document: DocumentRow,
    region: tuple[int, int],
    entities: Sequence[EntityRow],
    relations: Sequence[RelationRow],
) -> GoldUnit:
    start, end = region
    is_whole = (start, end) == (0, len(document.text))
    group = document.group_key or str(document.meta.get("group") or document.name)
    meta: dict[str, Any] = dict(document.meta)
    if not is_whole:
        is_cut = region != (row.region_start, row.region_end)
        meta = _part_of(meta, region) if is_cut else {"sentences": [[0, end - start]]}
        meta |= {"document": document.name, "start": start, "end": end}
    meta["group"] = group
    kept = [e for e in entities if start <= e.start and e.end <= end]
    ids = {e.local_id for e in kept}
    return GoldUnit(
        annotation_id=row.id,
        document_id=document.id,
        document=Document(
            id=document.name if is_whole else f"{document.name}@{start}",
            text=document.text[start:end],
            entities=tuple(
                Entity(id=e.local_id, type=e.type, start=e.start - start, end=e.end - start)
                for e in kept
            ),
            relations=tuple(
                Relation(type=r.type, head=r.head, tail=r.tail, bidirectional=r.bidirectional)
                for r in relations
                if r.head in ids and r.tail in ids
            ),
            meta=meta,
        ),
        source_document=document.name,
        region=region,
        split=document.split,
        group=group,
        created_at=row.created_at,
        source=row.source,
    )


def _part_of(meta: dict[str, Any], region: tuple[int, int]) -> dict[str, Any]:
    """Return the sentences and tokens that a document came with, as far as they are inside."""
    start, end = region
    return {
        name: [[a - start, b - start] for a, b in meta[name] if start <= a and b <= end]
        for name in ("sentences", "tokens")
        if isinstance(meta.get(name), list)
    }


def gold_units(
    session: Session, project_id: int, *, split: str | None = None, ids: Sequence[int] | None = None
) -> Iterator[GoldUnit]:
    """Yield gold, each stretch of text once: the labels that outrank all others there.

    ``ids`` selects exactly these annotation revisions (a snapshot), whatever came after them.
    """
    query = (
        select(AnnotationRow, DocumentRow)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(AnnotationRow.project_id == project_id)
        .order_by(AnnotationRow.document_id, AnnotationRow.region_start, AnnotationRow.id)
    )
    if split is not None:
        query = query.where(DocumentRow.split == split)
    if ids is None:
        query = query.where(AnnotationRow.is_current, AnnotationRow.state == "submitted")
        rows = [(a, d) for a, d in session.execute(query)]
    else:
        wanted = list(ids)
        rows = []
        for i in range(0, len(wanted), 500):
            chunk = query.where(AnnotationRow.id.in_(wanted[i : i + 500]))
            rows += [(a, d) for a, d in session.execute(chunk)]
        rows.sort(key=lambda pair: pair[0].document_id)
    by_document: list[list[tuple[AnnotationRow, DocumentRow]]] = [
        list(found) for _, found in groupby(rows, key=lambda pair: pair[0].document_id)
    ]
    for part in _batches(by_document, most=500):
        entities, relations = _labels_of(session, [a.id for found in part for a, _ in found])
        for found in part:
            units = [
                _unit(a, d, region, entities.get(a.id, ()), relations.get(a.id, ()))
                for a, d in found
                for region in _stretches(a, d, [other for other, _ in found], entities)
            ]
            yield from sorted(units, key=lambda unit: unit.region)


def _batches(groups: Sequence[Sequence[T]], *, most: int) -> Iterator[list[Sequence[T]]]:
    """Yield groups together until they hold ``most`` elements or more."""
    batch: list[Sequence[T]] = []
    n = 0
    for group in groups:
        batch.append(group)
        n += len(group)
        if n >= most:
            yield batch
            batch, n = [], 0
    if batch:
        yield batch


def _stretches(
    row: AnnotationRow,
    document: DocumentRow,
    others: Sequence[AnnotationRow],
    entities: Mapping[int, Sequence[EntityRow]],
) -> list[tuple[int, int]]:
    """Return the stretches of its region that nothing outranks, without blanks around them.

    An entity that reaches into what is outranked goes with it, so that no text is left that looks
    as if it held none.
    """
    region = (row.region_start, row.region_end)
    cuts = [
        (other.region_start, other.region_end)
        for other in others
        if rank(other) > rank(row)
        and other.region_start < row.region_end
        and other.region_end > row.region_start
    ]
    if not cuts:
        return [region]
    own = [(e.start, e.end) for e in entities.get(row.id, ())]
    cuts += [span for span in own if any(span[0] < end and start < span[1] for start, end in cuts)]
    free, at = [], region[0]
    for start, end in [*sorted(cuts), (region[1], region[1])]:
        text = document.text[at:start]
        if text.strip():
            first = at + len(text) - len(text.lstrip())
            free.append((first, first + len(text.strip())))
        at = max(at, end)
    return free


def rank(row: AnnotationRow) -> tuple[Any, ...]:
    """Return what a label is compared by with others of the same text (store-internal)."""
    is_read = row.source == "studio" and not row.bulk_created
    return (row.ground_truth, is_read, row.created_at, row.id)


def _rank(table: Any) -> Any:
    is_read = and_(table.source == "studio", ~table.bulk_created)
    return tuple_(table.ground_truth, is_read, table.created_at, table.id)


def decides_sentence() -> ColumnElement[bool]:
    """Return the condition that no label outranks this annotation in this sentence.

    Of the current submitted annotations that reach into a sentence, it holds for exactly one.
    """
    other = aliased(AnnotationRow)
    return ~(
        select(other.id)
        .where(
            other.project_id == AnnotationRow.project_id,
            other.document_id == AnnotationRow.document_id,
            other.is_current,
            other.state == "submitted",
            other.region_start < SentenceRow.end,
            other.region_end > SentenceRow.start,
            _rank(other) > _rank(AnnotationRow),
        )
        .correlate(AnnotationRow, SentenceRow)
        .exists()
    )


def counts_as_gold() -> ColumnElement[bool]:
    """Return the condition that an annotation decides any sentence."""
    return (
        select(SentenceRow.id)
        .where(
            SentenceRow.document_id == AnnotationRow.document_id,
            SentenceRow.start < AnnotationRow.region_end,
            SentenceRow.end > AnnotationRow.region_start,
            decides_sentence(),
        )
        .correlate(AnnotationRow)
        .exists()
    )


def count_gold(session: Session, project_id: int) -> dict[str, int]:
    """Count sentences of gold by split, those accepted in bulk in either, and those skipped."""
    is_gold = and_(AnnotationRow.state == "submitted", decides_sentence())
    rows = session.execute(
        select(DocumentRow.split, AnnotationRow.state, AnnotationRow.bulk_created, func.count())
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .join(SentenceRow, SentenceRow.document_id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            SentenceRow.start < AnnotationRow.region_end,
            SentenceRow.end > AnnotationRow.region_start,
            or_(AnnotationRow.state == "skipped", is_gold),
        )
        .group_by(DocumentRow.split, AnnotationRow.state, AnnotationRow.bulk_created)
    )
    counts = {"train": 0, "holdout": 0, "in_bulk": 0, "skipped": 0}
    for split, state, in_bulk, n in rows:
        if state == "submitted":
            counts[split] += n
            counts["in_bulk"] += n if in_bulk else 0
        else:
            counts["skipped"] += n
    return counts


def newest_gold_sentences(session: Session, project_id: int, *, limit: int) -> list[int]:
    """Return ids of training sentences with gold, newest label first."""
    rows = session.scalars(
        select(SentenceRow.id)
        .join(AnnotationRow, AnnotationRow.document_id == SentenceRow.document_id)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
            AnnotationRow.region_start <= SentenceRow.start,
            AnnotationRow.region_end >= SentenceRow.end,
            DocumentRow.split == "train",
        )
        .order_by(AnnotationRow.created_at.desc(), AnnotationRow.id.desc(), SentenceRow.ordinal)
        .limit(limit)
    )
    return list(dict.fromkeys(rows))


def newest_gold_texts(session: Session, project_id: int, *, limit: int) -> list[str]:
    """Return the texts of regions with gold, newest label first."""
    length = AnnotationRow.region_end - AnnotationRow.region_start
    query = (
        select(func.substr(DocumentRow.text, AnnotationRow.region_start + 1, length))
        .select_from(AnnotationRow)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            AnnotationRow.project_id == project_id,
            AnnotationRow.is_current,
            AnnotationRow.state == "submitted",
        )
        .order_by(AnnotationRow.created_at.desc(), AnnotationRow.id.desc())
    )
    return list(session.scalars(query.limit(limit)))
