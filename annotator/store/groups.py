"""Groups of documents that must stay on one side of the split, and the bands that find them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from db.in_values import in_values
from db.inserts import insert_many, insert_new
from db.tables import (
    AnnotationRow,
    DocumentBandRow,
    DocumentRow,
    GroupAliasRow,
    ProjectRow,
    SnapshotAnnotationRow,
)

__all__ = [
    "GroupedText",
    "add_alias",
    "add_bands",
    "are_learnt_from",
    "assign_group",
    "count_groups",
    "crowded_groups",
    "find_by_bands",
    "group_of",
    "lock_groups",
    "members_of",
    "merge_groups",
    "move_to_side",
    "resolve_aliases",
    "sides_of",
    "ungrouped_documents",
]

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedText:
    """A stored document's text and the group it is in."""

    document_id: int
    group: str
    text: str


def lock_groups(session: Session, project_id: int) -> None:
    """Lock the grouping of the project's documents until the transaction ends."""
    session.execute(
        select(ProjectRow.id).where(ProjectRow.id == project_id).with_for_update(key_share=True)
    )


def group_of(session: Session, document_id: int) -> str | None:
    """Return the group of a document; all documents of a group are on one side of the split."""
    return session.scalar(select(DocumentRow.group_key).where(DocumentRow.id == document_id))


def count_groups(session: Session, project_id: int) -> int:
    """Count the groups of the project's documents."""
    return (
        session.scalar(
            select(func.count(DocumentRow.group_key.distinct())).where(
                DocumentRow.project_id == project_id
            )
        )
        or 0
    )


def resolve_aliases(session: Session, project_id: int, names: Iterable[str]) -> dict[str, str]:
    """Return the groups that the groups of these names now belong to, by name."""
    found: dict[str, str] = {}
    for part in _chunks(set(names)):
        rows = session.execute(
            select(GroupAliasRow.name, GroupAliasRow.group_key).where(
                GroupAliasRow.project_id == project_id,
                in_values(session, GroupAliasRow.name, part),
            )
        )
        found.update({row[0]: row[1] for row in rows})
    return found


def sides_of(session: Session, project_id: int, groups: Iterable[str]) -> dict[str, str]:
    """Return the side of the split of those of these groups that exist, by group."""
    found: dict[str, str] = {}
    for part in _chunks(set(groups)):
        rows = session.execute(
            select(DocumentRow.group_key, func.min(DocumentRow.split))
            .where(
                DocumentRow.project_id == project_id,
                in_values(session, DocumentRow.group_key, part),
            )
            .group_by(DocumentRow.group_key)
        )
        found.update({str(row[0]): row[1] for row in rows})
    return found


def find_by_bands(
    session: Session, project_id: int, bands: Iterable[int], *, most: int
) -> list[GroupedText]:
    """Return the documents that have any of these bands, at most the ``most`` newest of each."""
    found: dict[int, GroupedText] = {}
    for part in _chunks(set(bands)):
        age = func.row_number().over(
            partition_by=DocumentBandRow.band, order_by=DocumentBandRow.document_id.desc()
        )
        banded = (
            select(DocumentBandRow.document_id, age.label("age"))
            .where(
                DocumentBandRow.project_id == project_id,
                in_values(session, DocumentBandRow.band, part),
            )
            .subquery()
        )
        newest = select(banded.c.document_id).where(banded.c.age <= most)
        rows = session.execute(
            select(DocumentRow.id, DocumentRow.group_key, DocumentRow.text).where(
                DocumentRow.id.in_(newest)
            )
        )
        found |= {
            row[0]: GroupedText(document_id=row[0], group=str(row[1]), text=row[2]) for row in rows
        }
    return [found[i] for i in sorted(found)]


def crowded_groups(
    session: Session, project_id: int, groups: Iterable[str], *, most: int
) -> list[str]:
    """Return those of these groups that hold several documents, at most the ``most`` largest."""
    n = func.count(DocumentRow.id)
    found: list[tuple[int, str]] = []
    for part in _chunks(set(groups)):
        rows = session.execute(
            select(n, DocumentRow.group_key)
            .where(
                DocumentRow.project_id == project_id,
                in_values(session, DocumentRow.group_key, part),
            )
            .group_by(DocumentRow.group_key)
            .having(n > 1)
        )
        found += [(row[0], str(row[1])) for row in rows]
    return [group for _, group in sorted(found, reverse=True)[:most]]


def members_of(session: Session, project_id: int, group: str, *, limit: int) -> list[GroupedText]:
    """Return the newest documents of a group."""
    rows = session.execute(
        select(DocumentRow.id, DocumentRow.text)
        .where(DocumentRow.project_id == project_id, DocumentRow.group_key == group)
        .order_by(DocumentRow.id.desc())
        .limit(limit)
    )
    return [GroupedText(document_id=row[0], group=group, text=row[1]) for row in rows]


def are_learnt_from(session: Session, project_id: int, groups: Iterable[str]) -> bool:
    """Return whether documents of these groups bear labels, or were trained on with any.

    Labels deleted since a snapshot was taken have still been learnt from.
    """
    trained = select(SnapshotAnnotationRow.annotation_id).where(
        SnapshotAnnotationRow.annotation_id == AnnotationRow.id,
        SnapshotAnnotationRow.split == "train",
    )
    stands = AnnotationRow.is_current & (AnnotationRow.state == "submitted")
    found = session.scalar(
        select(AnnotationRow.id)
        .join(DocumentRow, DocumentRow.id == AnnotationRow.document_id)
        .where(
            DocumentRow.project_id == project_id,
            DocumentRow.group_key.in_(list(groups)),
            stands | trained.exists(),
        )
        .limit(1)
    )
    return found is not None


def add_bands(session: Session, project_id: int, bands: Mapping[int, Sequence[int]]) -> None:
    """Store bands, given by document id."""
    rows = [
        {"project_id": project_id, "band": band, "document_id": document_id}
        for document_id, found in bands.items()
        for band in sorted(set(found))
    ]
    insert_many(session, DocumentBandRow, rows)


def add_alias(session: Session, project_id: int, name: str, *, group: str) -> None:
    """Record that documents of group ``name`` belong to ``group`` from now on."""
    insert_new(
        session,
        GroupAliasRow,
        [{"project_id": project_id, "name": name, "group_key": group}],
    )


def merge_groups(session: Session, project_id: int, group: str, *, into: str) -> None:
    """Merge two groups; both must be on one side by the end of the transaction."""
    session.execute(
        update(DocumentRow)
        .where(DocumentRow.project_id == project_id, DocumentRow.group_key == group)
        .values(group_key=into)
    )
    session.execute(
        update(GroupAliasRow)
        .where(GroupAliasRow.project_id == project_id, GroupAliasRow.group_key == group)
        .values(group_key=into)
    )
    add_alias(session, project_id, group, group=into)


def move_to_side(session: Session, project_id: int, group: str, *, split: str) -> int:
    """Move a group's documents to one side of the split; return how many were on the other."""
    moved = session.execute(
        update(DocumentRow)
        .where(
            DocumentRow.project_id == project_id,
            DocumentRow.group_key == group,
            DocumentRow.split != split,
        )
        .values(split=split)
        .returning(DocumentRow.id)
    )
    return len(moved.all())


def ungrouped_documents(
    session: Session, project_id: int, *, limit: int
) -> list[tuple[int, str, str, str]]:
    """Return id, own group, text and split of documents that have not been grouped yet."""
    rows = session.execute(
        select(
            DocumentRow.id, DocumentRow.name, DocumentRow.meta, DocumentRow.text, DocumentRow.split
        )
        .where(DocumentRow.project_id == project_id, DocumentRow.group_key.is_(None))
        .order_by(DocumentRow.id)
        .limit(limit)
    )
    return [(row[0], str(row[2].get("group") or row[1]), row[3], row[4]) for row in rows]


def assign_group(session: Session, document_id: int, *, group: str, split: str) -> None:
    """Put a document that was stored without a group into one."""
    session.execute(
        update(DocumentRow)
        .where(DocumentRow.id == document_id)
        .values(group_key=group, split=split)
    )


def _chunks(values: Iterable[int | str]) -> Iterable[list[int | str]]:
    ordered = list(values)
    return (ordered[i : i + _CHUNK] for i in range(0, len(ordered), _CHUNK))
