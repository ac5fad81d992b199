"""Annotations as append-only revisions, with their entities and relations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.types import BigId, Json, UtcDateTime

__all__ = ["AnnotationRow", "EntityRow", "RelationRow"]


class AnnotationRow(Base):
    """One revision of one person's labels for a region of a document. Never updated in place.

    The one exception is ``is_current``, which marks the newest revision of (origin_id, source,
    external_id) so that gold is an indexed query.
    """

    __tablename__ = "annotation"
    __table_args__ = (
        UniqueConstraint("origin_id", "source", "external_id", "revision"),
        CheckConstraint("state IN ('submitted', 'skipped', 'deleted', 'unread')", name="state"),
        CheckConstraint("source IN ('studio', 'import')", name="source"),
        # SQLite does not use a partial index for what SQLAlchemy writes as "is_current = 1".
        Index("ix_annotation_region", "document_id", "region_start", "region_end"),
        Index(
            "ix_annotation_current",
            "project_id",
            "document_id",
            sqlite_where=text("is_current"),
            postgresql_where=text("is_current"),
        ),
        Index(
            "uq_annotation_one_current",
            "origin_id",
            "source",
            "external_id",
            unique=True,
            sqlite_where=text("is_current"),
            postgresql_where=text("is_current"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    origin_id: Mapped[int] = mapped_column(ForeignKey("origin.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("document.id"))
    task_id: Mapped[int | None] = mapped_column(ForeignKey("task.id"), index=True)
    source: Mapped[str] = mapped_column(String(20))
    external_id: Mapped[str] = mapped_column(String(400))
    revision: Mapped[int]
    is_current: Mapped[bool]
    state: Mapped[str] = mapped_column(String(20))
    region_start: Mapped[int]
    region_end: Mapped[int]
    annotator: Mapped[str | None] = mapped_column(String(200))
    ground_truth: Mapped[bool]
    bulk_created: Mapped[bool]
    lead_time_s: Mapped[float | None]
    parent_prediction: Mapped[int | None] = mapped_column(BigId)
    parent_version: Mapped[str | None] = mapped_column(String(200))
    diff: Mapped[dict[str, Any] | None] = mapped_column(Json)
    raw: Mapped[Any | None] = mapped_column(Json)
    issues: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    content_hash: Mapped[str] = mapped_column(String(64))
    read_by: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    import_id: Mapped[int | None] = mapped_column(ForeignKey("import_batch.id"), index=True)


class EntityRow(Base):
    """An entity of an annotation; offsets into the document, half open."""

    __tablename__ = "entity"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotation.id"), index=True)
    local_id: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(200))
    start: Mapped[int]
    end: Mapped[int]


class RelationRow(Base):
    """A relation of an annotation, between local entity ids."""

    __tablename__ = "relation"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotation.id"), index=True)
    type: Mapped[str | None] = mapped_column(String(200))
    head: Mapped[str] = mapped_column(String(200))
    tail: Mapped[str] = mapped_column(String(200))
    bidirectional: Mapped[bool]
