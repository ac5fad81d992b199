"""A project, its schemas, its documents and their sentences."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.types import BigId, Json, UtcDateTime

__all__ = ["AuditRow", "DocumentRow", "LabelSchemaRow", "ProjectRow", "SentenceRow"]


class ProjectRow(Base):
    """One project; Label Studio's own project is known by host, key string and id."""

    __tablename__ = "project"
    __table_args__ = (
        UniqueConstraint("name"),
        UniqueConstraint("studio_host", "studio_key"),
        CheckConstraint("unit IN ('sentence', 'document')", name="unit"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    unit: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    studio_host: Mapped[str | None] = mapped_column(String(400))
    studio_key: Mapped[str | None] = mapped_column(String(100))
    studio_project_id: Mapped[int | None]
    pulled_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    pulled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class LabelSchemaRow(Base):
    """A schema as it was at some time; the newest row of a project is the current one."""

    __tablename__ = "label_schema"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    config_xml: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DocumentRow(Base):
    """A text as it came. ``split`` says whether learning may look at it."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("split IN ('train', 'holdout')", name="split"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(400))
    text: Mapped[str] = mapped_column(Text)
    text_hash: Mapped[str] = mapped_column(String(64), index=True)
    split: Mapped[str] = mapped_column(String(20))
    meta: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SentenceRow(Base):
    """A sentence of a document: code point offsets, half open."""

    __tablename__ = "sentence"
    __table_args__ = (
        UniqueConstraint("document_id", "ordinal"),
        Index(None, "project_id", "text_hash"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    document_id: Mapped[int] = mapped_column(ForeignKey("document.id"))
    ordinal: Mapped[int]
    start: Mapped[int]
    end: Mapped[int]
    n_words: Mapped[int]
    text_hash: Mapped[str] = mapped_column(String(64))


class AuditRow(Base):
    """Who did what when; append only."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(200))
    action: Mapped[str] = mapped_column(String(100))
    detail: Mapped[dict[str, Any]] = mapped_column(Json)
