"""A project, its schemas, its documents and their sentences."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.types import BigId, Json, UtcDateTime

__all__ = [
    "AuditRow",
    "DocumentBandRow",
    "DocumentRow",
    "GroupAliasRow",
    "ImportRow",
    "LabelSchemaRow",
    "ProjectRow",
    "SentenceRow",
]


class ProjectRow(Base):
    """One project; its Label Studio project is identified by host, key string and id."""

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
    pulled_event: Mapped[int] = mapped_column(BigId, server_default="0")


class LabelSchemaRow(Base):
    """A schema at some point in time; a project's newest row is the current one."""

    __tablename__ = "label_schema"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    config_xml: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ImportRow(Base):
    """An import that stored something; ``detail`` counts what."""

    __tablename__ = "import_batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    detail: Mapped[dict[str, Any]] = mapped_column(Json)


class DocumentRow(Base):
    """A text as it came. ``split`` says whether training may use it.

    A document whose import was undone is withdrawn: no task is made of it.

    ``group_key`` is shared by documents that must stay on one side of the split; None until
    near-duplicates of the text have been searched for.
    """

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("split IN ('train', 'holdout')", name="split"),
        Index("ix_document_split", "project_id", "split"),
        Index("ix_document_group", "project_id", "group_key", "split"),
        Index("ix_document_shards", "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(400))
    text: Mapped[str] = mapped_column(Text)
    text_hash: Mapped[str] = mapped_column(String(64), index=True)
    split: Mapped[str] = mapped_column(String(20))
    group_key: Mapped[str | None] = mapped_column(String(400))
    meta: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    import_id: Mapped[int | None] = mapped_column(ForeignKey("import_batch.id"), index=True)


class DocumentBandRow(Base):
    """A MinHash band of a document, by which its near-duplicates are found.

    A band that another document of the group already has is not stored again.
    """

    __tablename__ = "document_band"
    __table_args__ = ({"sqlite_with_rowid": False},)

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    band: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    document_id: Mapped[int] = mapped_column(BigId, ForeignKey("document.id"), primary_key=True)


class GroupAliasRow(Base):
    """A group name whose documents belong to a group of another name."""

    __tablename__ = "group_alias"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(400), primary_key=True)
    group_key: Mapped[str] = mapped_column(String(400), index=True)


class SentenceRow(Base):
    """A sentence of a document: code point offsets, half open."""

    __tablename__ = "sentence"
    __table_args__ = (
        UniqueConstraint("document_id", "ordinal"),
        Index(None, "project_id", "text_hash"),
        Index("ix_sentence_shards", "project_id", "id"),
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
