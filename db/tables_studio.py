"""Tables about Label Studio and the queue: origins, tasks, inbox, pushes, choices, leases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.types import BigId, Json, UtcDateTime

__all__ = [
    "LeaseRow",
    "OriginRow",
    "PushRow",
    "QueryChoiceRow",
    "QueryLogRow",
    "TaskRow",
    "WebhookEventRow",
]


class OriginRow(Base):
    """A Label Studio project that a project of ours is or was connected to.

    Label Studio counts its tasks and annotations from 1, so their ids mean something only together
    with their origin. The origin of what did not come from Label Studio has an empty host and key.
    ``stranger`` is the key of the project that was last found in the place of this one.
    """

    __tablename__ = "origin"
    __table_args__ = (UniqueConstraint("project_id", "host", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    host: Mapped[str] = mapped_column(String(400))
    key: Mapped[str] = mapped_column(String(100))
    stranger: Mapped[str | None] = mapped_column(String(100))


class TaskRow(Base):
    """A Label Studio task: a whole document, or one of its sentences.

    Our copy is up to date with its change at ``seen_at``, by Label Studio's clock.
    """

    __tablename__ = "task"
    __table_args__ = (
        UniqueConstraint("origin_id", "studio_id"),
        CheckConstraint("state IN ('open', 'labelled', 'skipped', 'deleted')", name="state"),
        Index("ix_task_pool", "project_id", "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    origin_id: Mapped[int] = mapped_column(ForeignKey("origin.id"))
    studio_id: Mapped[int] = mapped_column(BigId)
    refused_version: Mapped[str | None] = mapped_column(String(200))
    document_id: Mapped[int] = mapped_column(ForeignKey("document.id"), index=True)
    sentence_id: Mapped[int | None] = mapped_column(ForeignKey("sentence.id"), index=True)
    state: Mapped[str] = mapped_column(String(20))
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WebhookEventRow(Base):
    """The inbox: each event as it came, without the secrets that Label Studio includes."""

    __tablename__ = "webhook_event"
    __table_args__ = (
        UniqueConstraint("dedupe_key"),
        CheckConstraint("state IN ('new', 'done', 'failed', 'ignored')", name="state"),
        Index(None, "state", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    studio_project_id: Mapped[int | None]
    action: Mapped[str] = mapped_column(String(100))
    dedupe_key: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int]
    error: Mapped[str | None] = mapped_column(Text)
    processed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PushRow(Base):
    """A prediction that Label Studio has accepted: one a version and task."""

    __tablename__ = "push"
    __table_args__ = (
        UniqueConstraint("version_id", "task_id"),
        Index("ix_push_order", "version_id", "score", "task_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    task_id: Mapped[int] = mapped_column(ForeignKey("task.id"), index=True)
    score: Mapped[float]
    pushed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class QueryLogRow(Base):
    """One selection: its strategy, version, seed and size of the pool."""

    __tablename__ = "query_log"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    version_id: Mapped[int | None] = mapped_column(ForeignKey("model_version.id"))
    strategy: Mapped[str] = mapped_column(String(50))
    seed: Mapped[int] = mapped_column(BigId)
    n_pool: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class QueryChoiceRow(Base):
    """A task's place in a selection, and the reason for it."""

    __tablename__ = "query_choice"
    __table_args__ = (Index("ix_query_choice_task", "task_id", "query_id"),)

    query_id: Mapped[int] = mapped_column(ForeignKey("query_log.id"), primary_key=True)
    task_id: Mapped[int] = mapped_column(BigId, ForeignKey("task.id"), primary_key=True)
    rank: Mapped[int]
    reason: Mapped[str] = mapped_column(String(20))
    utility: Mapped[float | None]
    parts: Mapped[dict[str, Any]] = mapped_column(Json)


class LeaseRow(Base):
    """Who holds a piece of work that only one worker may do at a time, and until when."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    renewed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
