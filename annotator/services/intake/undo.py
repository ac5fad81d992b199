"""Undoing an import: labels go back to what they were, documents are withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from annotator.domain import LabelSchema
from annotator.errors import ConflictError
from annotator.store.database import Database
from annotator.store.imports import close_import, find_import, types_without_labels, undo_labels
from annotator.store.projects import audit, current_config_xml, current_schema, save_schema
from annotator.studio.config import parse_config

__all__ = ["UndoReport", "undo_import"]

_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoReport:
    """What undoing an import did.

    Attributes:
        import_id: The import.
        n_labels: Documents whose labels from the import no longer count.
        n_restored: Those of them that have the labels of an earlier import again.
        n_withdrawn: Documents that came with it and are no longer offered for labelling.
        n_tasks: Withdrawn documents with tasks in Label Studio, which stay there.
        n_kept: Documents that came with it and stay, since they have been labelled otherwise.
        types: Types that came with it and have no label any more.
    """

    import_id: int
    n_labels: int
    n_restored: int
    n_withdrawn: int
    n_tasks: int
    n_kept: int
    types: tuple[str, ...]


def undo_import(
    database: Database,
    project_id: int,
    import_id: int | None = None,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> UndoReport:
    """Undo an import, the last one if none is named; nothing is deleted.

    Labels from it are followed by new revisions with what was there before. Labels from Label
    Studio stay, and so do sides of the hold-out. If it is killed, it is run again.

    Raises:
        NotFoundError: if there is no such import.
        ConflictError: if it was undone before.
    """
    with database.read() as session:
        found = find_import(session, project_id, import_id)
    if found.undone_at is not None:
        raise ConflictError(f"import {found.id} was undone at {found.undone_at:%Y-%m-%d %H:%M} UTC")
    n_labels = n_restored = 0
    while True:
        with database.write() as session:
            n, n_back = undo_labels(session, found.id, limit=_CHUNK)
        n_labels, n_restored = n_labels + n, n_restored + n_back
        if on_progress is not None:
            on_progress(n_labels)
        if n == 0:
            break
    with database.write() as session:
        documents = close_import(session, project_id, found.id)
        types = _drop_types(session, project_id, found.detail.get("new_types", ()))
        counts = {"labels": n_labels, "restored": n_restored, **documents}
        audit(session, project_id, actor="import", action="undo_import", id=found.id, **counts)
    return UndoReport(
        import_id=found.id, types=types, **{f"n_{key}": value for key, value in counts.items()}
    )


def _drop_types(session: Session, project_id: int, new: Sequence[str]) -> tuple[str, ...]:
    """Take types out of the schema that came with an import and have neither labels nor a tag."""
    known, config_xml = current_schema(session, project_id), current_config_xml(session, project_id)
    if known is None or not new:
        return ()
    gone = types_without_labels(session, project_id, new)
    if config_xml is not None:
        offered = parse_config(config_xml).schema
        gone -= {*offered.entity_types, *offered.relation_types}
    left = LabelSchema(
        entity_types=tuple(t for t in known.entity_types if t not in gone),
        relation_types=tuple(t for t in known.relation_types if t not in gone),
    )
    save_schema(session, project_id, left.with_pairs(known.pairs))
    return tuple(sorted(gone))
