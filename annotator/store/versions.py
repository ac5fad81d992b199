"""Model versions, their evaluations, and what they predicted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from annotator.errors import NotFoundError
from annotator.store.clock import now
from annotator.store.rows import from_row
from db.inserts import insert_new, insert_or_update
from db.tables import (
    AcquisitionRow,
    EvaluationRow,
    ModelVersionRow,
    PredictionRow,
    ProjectRow,
)

__all__ = [
    "ModelVersion",
    "StoredPrediction",
    "activate_version",
    "active_version",
    "add_evaluation",
    "add_version",
    "get_version",
    "has_version",
    "list_versions",
    "lock_active_version",
    "lock_version",
    "predictions_for",
    "save_acquisitions",
    "save_predictions",
    "set_version_state",
    "utilities",
    "version_to_json",
]

_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A version in the registry, with its scores by split."""

    id: int
    name: str
    state: str
    provisional: bool
    folder: str
    sha256: str
    run_id: int
    snapshot_id: int
    created_at: datetime
    promoted_at: datetime | None
    metrics: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPrediction:
    """What a version predicts for one sentence. Offsets count from the sentence's start.

    ``entities``: ``[{"type", "start", "end", "score"}]``; ``relations``: ``[{"type", "head",
    "tail", "score"}]`` with indices into ``entities``. ``embedding`` is float16, L2-normalised.
    """

    text_hash: str
    entities: Sequence[Mapping[str, Any]]
    relations: Sequence[Mapping[str, Any]]
    signals: Mapping[str, float]
    embedding: bytes


def _version(session: Session, row: ModelVersionRow) -> ModelVersion:
    evaluations = session.scalars(
        select(EvaluationRow).where(EvaluationRow.version_id == row.id).order_by(EvaluationRow.id)
    )
    return from_row(ModelVersion, row, metrics={e.split: e.metrics for e in evaluations})


def add_version(
    session: Session,
    project_id: int,
    *,
    name: str,
    folder: str,
    sha256: str,
    run_id: int,
    snapshot_id: int,
) -> ModelVersion:
    """Register a candidate; an existing name (a resumed run) returns the stored version."""
    row = session.scalar(
        select(ModelVersionRow).where(
            ModelVersionRow.project_id == project_id, ModelVersionRow.name == name
        )
    )
    if row is None:
        row = ModelVersionRow(
            project_id=project_id,
            name=name,
            state="candidate",
            provisional=False,
            folder=folder,
            sha256=sha256,
            run_id=run_id,
            snapshot_id=snapshot_id,
            created_at=now(session),
        )
        session.add(row)
        session.flush()
    return _version(session, row)


def get_version(session: Session, project_id: int, name: str) -> ModelVersion:
    """Return the version called ``name``.

    Raises:
        NotFoundError: if there is none.
    """
    row = session.scalar(
        select(ModelVersionRow).where(
            ModelVersionRow.project_id == project_id, ModelVersionRow.name == name
        )
    )
    if row is None:
        raise NotFoundError(f"no model version {name!r}; annotator models lists them")
    return _version(session, row)


def active_version(session: Session, project_id: int) -> ModelVersion | None:
    """Return the version in use, or None."""
    row = session.scalar(
        select(ModelVersionRow).where(
            ModelVersionRow.project_id == project_id, ModelVersionRow.state == "active"
        )
    )
    return None if row is None else _version(session, row)


def lock_active_version(session: Session, project_id: int) -> ModelVersion | None:
    """Return the version in use, which nobody else changes until the transaction ends."""
    session.execute(select(ProjectRow.id).where(ProjectRow.id == project_id).with_for_update())
    return active_version(session, project_id)


def list_versions(session: Session, project_id: int) -> list[ModelVersion]:
    """Return all versions, newest first."""
    rows = session.scalars(
        select(ModelVersionRow)
        .where(ModelVersionRow.project_id == project_id)
        .order_by(ModelVersionRow.id.desc())
    )
    return [_version(session, row) for row in rows]


def lock_version(session: Session, version_id: int) -> None:
    """Lock the version's state until the transaction ends."""
    session.execute(
        select(ModelVersionRow.id).where(ModelVersionRow.id == version_id).with_for_update()
    )


def has_version(session: Session, run_id: int) -> bool:
    """Return whether a run has produced a version."""
    found = select(ModelVersionRow.id).where(ModelVersionRow.run_id == run_id).limit(1)
    return session.scalar(found) is not None


def set_version_state(session: Session, version_id: int, state: str) -> None:
    """Set a state other than ``active`` (see ``activate_version``)."""
    session.get_one(ModelVersionRow, version_id).state = state


def activate_version(
    session: Session, project_id: int, version_id: int, *, provisional: bool
) -> None:
    """Make a version the active one; the previous one is retired."""
    before = session.scalar(
        select(ModelVersionRow).where(
            ModelVersionRow.project_id == project_id, ModelVersionRow.state == "active"
        )
    )
    if before is not None and before.id != version_id:
        before.state = "retired"
        session.flush()
    row = session.get_one(ModelVersionRow, version_id)
    row.state, row.provisional, row.promoted_at = "active", provisional, now(session)


def add_evaluation(
    session: Session, version_id: int, *, split: str, metrics: Mapping[str, Any], n_sentences: int
) -> None:
    """Store scores on a split, replacing earlier ones of the same version and split."""
    session.execute(
        delete(EvaluationRow).where(
            EvaluationRow.version_id == version_id, EvaluationRow.split == split
        )
    )
    session.add(
        EvaluationRow(
            version_id=version_id,
            split=split,
            metrics=dict(metrics),
            n_sentences=n_sentences,
            created_at=now(session),
        )
    )


def predictions_for(
    session: Session, version_id: int, hashes: Iterable[str]
) -> dict[str, StoredPrediction]:
    """Return stored predictions for these sentence texts, by text hash."""
    wanted = sorted(set(hashes))
    found: dict[str, StoredPrediction] = {}
    for i in range(0, len(wanted), _CHUNK):
        for row in session.scalars(
            select(PredictionRow).where(
                PredictionRow.version_id == version_id,
                PredictionRow.text_hash.in_(wanted[i : i + _CHUNK]),
            )
        ):
            found[row.text_hash] = from_row(StoredPrediction, row)
    return found


def save_predictions(
    session: Session, version_id: int, predictions: Sequence[StoredPrediction]
) -> None:
    """Store predictions, skipping texts that already have one."""
    at = now(session)
    insert_new(
        session,
        PredictionRow,
        [
            {
                "version_id": version_id,
                "text_hash": p.text_hash,
                "entities": [dict(e) for e in p.entities],
                "relations": [dict(r) for r in p.relations],
                "signals": dict(p.signals),
                "embedding": p.embedding,
                "created_at": at,
            }
            for p in {p.text_hash: p for p in predictions}.values()
        ],
    )


def save_acquisitions(
    session: Session, version_id: int, *, strategy: str, utilities: Mapping[int, float]
) -> None:
    """Replace the utilities of these sentences under one version and strategy."""
    insert_or_update(
        session,
        AcquisitionRow,
        [
            {
                "version_id": version_id,
                "sentence_id": sentence_id,
                "strategy": strategy,
                "utility": utilities[sentence_id],
            }
            for sentence_id in sorted(utilities)
        ],
        key=("version_id", "strategy", "sentence_id"),
        changed=("utility",),
    )


def utilities(
    session: Session, version_id: int, *, strategy: str, sentence_ids: Iterable[int]
) -> dict[int, float]:
    """Return stored utilities by sentence id."""
    ids, found = sorted(set(sentence_ids)), {}
    for i in range(0, len(ids), _CHUNK):
        rows = session.execute(
            select(AcquisitionRow.sentence_id, AcquisitionRow.utility).where(
                AcquisitionRow.version_id == version_id,
                AcquisitionRow.strategy == strategy,
                AcquisitionRow.sentence_id.in_(ids[i : i + _CHUNK]),
            )
        )
        found.update({row[0]: row[1] for row in rows})
    return found


def version_to_json(version: ModelVersion) -> dict[str, Any]:
    """Return a model version as plain JSON values."""
    return {
        "name": version.name,
        "state": version.state,
        "provisional": version.provisional,
        "run": version.run_id,
        "sha256": version.sha256,
        "created_at": version.created_at.isoformat(),
        "promoted_at": version.promoted_at.isoformat() if version.promoted_at else None,
        "metrics": dict(version.metrics),
    }
