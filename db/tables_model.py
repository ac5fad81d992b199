"""Snapshots, training runs, model versions, their evaluations and predictions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base
from db.types import BigId, Json, UtcDateTime

__all__ = [
    "AcquisitionRow",
    "EvaluationRow",
    "ModelVersionRow",
    "PredictionRow",
    "RunEventRow",
    "SnapshotAnnotationRow",
    "SnapshotRow",
    "TrainingRunRow",
]


class SnapshotRow(Base):
    """The immutable list of annotation revisions that a run learns from."""

    __tablename__ = "snapshot"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    label_schema: Mapped[dict[str, Any]] = mapped_column(Json)
    n_annotations: Mapped[int]
    n_sentences: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SnapshotAnnotationRow(Base):
    """A member of a snapshot; ``split`` as it was when the snapshot was taken."""

    __tablename__ = "snapshot_annotation"

    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(BigId, ForeignKey("annotation.id"), primary_key=True)
    split: Mapped[str] = mapped_column(String(20))


class TrainingRunRow(Base):
    """A run and everything known about it; this row, not the queue, is the truth."""

    __tablename__ = "training_run"
    __table_args__ = (
        CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'held', 'failed', 'cancelled')",
            name="state",
        ),
        Index(
            "uq_training_run_one_running",
            "project_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    state: Mapped[str] = mapped_column(String(20))
    trigger: Mapped[str] = mapped_column(String(50))
    force: Mapped[bool]
    owner: Mapped[str | None] = mapped_column(String(200))
    renewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int]
    progress: Mapped[dict[str, Any]] = mapped_column(Json)
    cancel_requested: Mapped[bool]
    settings: Mapped[dict[str, Any]] = mapped_column(Json)
    snapshot_id: Mapped[int | None] = mapped_column(ForeignKey("snapshot.id"))
    reasons: Mapped[list[str]] = mapped_column(Json)
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class RunEventRow(Base):
    """A line of a run's log: what was done when. Holds no document text."""

    __tablename__ = "run_event"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("training_run.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(50))
    detail: Mapped[dict[str, Any]] = mapped_column(Json)


class ModelVersionRow(Base):
    """A trained model in the registry. At most one a project is active."""

    __tablename__ = "model_version"
    __table_args__ = (
        UniqueConstraint("project_id", "name"),
        CheckConstraint("state IN ('candidate', 'active', 'held', 'retired')", name="state"),
        Index(
            "uq_model_version_one_active",
            "project_id",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    provisional: Mapped[bool]
    folder: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(String(64))
    run_id: Mapped[int] = mapped_column(ForeignKey("training_run.id"), index=True)
    snapshot_id: Mapped[int] = mapped_column(ForeignKey("snapshot.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    promoted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class EvaluationRow(Base):
    """Strict scores of a version on one split."""

    __tablename__ = "evaluation"

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"), index=True)
    split: Mapped[str] = mapped_column(String(20))
    metrics: Mapped[dict[str, Any]] = mapped_column(Json)
    n_sentences: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PredictionRow(Base):
    """What a version predicts for a sentence's text; offsets count from the sentence's start."""

    __tablename__ = "prediction"
    __table_args__ = (UniqueConstraint("version_id", "text_hash"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    text_hash: Mapped[str] = mapped_column(String(64))
    entities: Mapped[list[Any]] = mapped_column(Json)
    relations: Mapped[list[Any]] = mapped_column(Json)
    signals: Mapped[dict[str, Any]] = mapped_column(Json)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AcquisitionRow(Base):
    """How useful labelling this sentence would be, by one strategy under one version."""

    __tablename__ = "acquisition"
    __table_args__ = (
        UniqueConstraint("version_id", "strategy", "sentence_id"),
        Index("ix_acquisition_order", "version_id", "strategy", "utility"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("model_version.id"))
    sentence_id: Mapped[int] = mapped_column(ForeignKey("sentence.id"), index=True)
    strategy: Mapped[str] = mapped_column(String(50))
    utility: Mapped[float]
