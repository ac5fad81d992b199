"""A training run as a use case: from a snapshot of the labels to a version judged by the gate."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from annotator.errors import TrainingError
from annotator.model import Predictor, checkpoint_sha256
from annotator.model.folder import move_whole
from annotator.services.inference.compute import Engine, LocalEngine
from annotator.services.inference.versions import check_files
from annotator.services.models.card import write_card
from annotator.services.models.evaluate import measure_version
from annotator.services.models.judge import judge_candidate
from annotator.services.models.learning_curve import describe_point
from annotator.services.models.registry import (
    ORIGIN_FILE,
    drop_asides,
    folder_of_run,
    was_made_by,
)
from annotator.services.models.snapshot import RunPlan, plan_run
from annotator.store.database import Database
from annotator.store.projects import audit
from annotator.store.run_log import log_run
from annotator.store.runs import Run, finish_run, get_run
from annotator.store.versions import (
    ModelVersion,
    activate_version,
    add_evaluation,
    add_version,
    get_version,
    lock_active_version,
    set_version_state,
)
from annotator.training import (
    Decision,
    Evaluation,
    TrainingProgress,
    TrainingSettings,
    WarmStart,
)

__all__ = ["RunSettings", "run_training"]

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What a run needs beside its snapshot.

    A warm run keeps ``warm_keep`` of the earlier version's weights and takes ``warm_share`` of the
    epochs and of the least steps. A hold-out of fewer than ``holdout_least`` sentences judges
    provisionally.
    """

    project: str
    encoder: str
    device: str
    models_folder: Path
    training: TrainingSettings
    engine: Engine = field(default_factory=LocalEngine)
    warm_keep: float = 0.5
    warm_share: float = 0.33
    holdout_least: int = 30


def run_training(
    database: Database,
    project_id: int,
    run_id: int,
    *,
    owner: str,
    settings: RunSettings,
    report: Report,
) -> tuple[ModelVersion, Decision]:
    """Train, evaluate, decide and end a claimed run.

    Everything before the last transaction may be repeated: a killed run resumes from its
    checkpoint, and one killed after training finds the trained model.

    ``owner`` holds the run's lease. ``report`` receives progress; it may raise CancelledError or
    LeaseLostError to stop.

    Raises:
        TrainingError: if there is nothing to learn from, the loss is not finite, or the model
            cannot be written.
        CheckpointError: if the active version, or the one to start from, cannot be read.
        LeaseLostError: if another worker holds the run by now; nothing was changed.
    """
    report({"phase": "prepare"})
    run, plan = _bind(database, project_id, run_id)
    start = _start(database, project_id, run, settings)
    with _told_if_not_written(settings):
        folder = _train(plan, run, settings, start, report)
    candidate, metrics = _measure(folder, plan, settings, report)
    return _decide_and_end(
        database, project_id, run, plan, settings, candidate, metrics, folder=folder, owner=owner
    )


def _bind(database: Database, project_id: int, run_id: int) -> tuple[Run, RunPlan]:
    with database.read() as session:
        run = get_run(session, run_id)
    plan = plan_run(database, project_id, run)
    with database.write() as session:
        log_run(session, run_id, "snapshot", **plan.describe())
    return run, plan


@contextmanager
def _told_if_not_written(settings: RunSettings) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"the model cannot be written into {settings.models_folder} ({error.strerror}): check "
            "that the disk has room and the folder may be written"
        ) from error


def _measure(
    folder: Path, plan: RunPlan, settings: RunSettings, report: Report
) -> tuple[Evaluation, dict[str, Any]]:
    """Score the trained model; also return the measurements to store."""
    report({"phase": "evaluate", "n_sentences": len(plan.test)})
    predictor = Predictor.load(folder, device=settings.device)
    candidate, metrics = measure_version(predictor, plan.test, n_dev=len(plan.dev))
    point = describe_point(candidate, plan.train, seed=settings.training.seed)
    return candidate, {**metrics, **point}


def _decide_and_end(
    database: Database,
    project_id: int,
    run: Run,
    plan: RunPlan,
    settings: RunSettings,
    candidate: Evaluation,
    metrics: Mapping[str, Any],
    *,
    folder: Path,
    owner: str,
) -> tuple[ModelVersion, Decision]:
    """Decide against the version in use, and end the run if it is still that one; else again."""
    while True:
        judged = judge_candidate(
            database,
            project_id,
            run,
            plan,
            candidate,
            device=settings.device,
            seed=settings.training.seed,
            least=settings.holdout_least,
        )
        with _told_if_not_written(settings):
            sha256, final = _keep(folder, plan, run, settings, metrics, judged.decision)
        folder = final
        with database.write() as session:
            active = lock_active_version(session, project_id)
            if (active.name if active else None) != judged.against:
                # Somebody promoted or rolled back meanwhile: that stands, and is what to beat.
                log_run(session, run.id, "compared anew", against=active.name if active else None)
                continue
            version = add_version(
                session,
                project_id,
                name=final.name,
                folder=str(final),
                sha256=sha256,
                run_id=run.id,
                snapshot_id=plan.snapshot.id,
            )
            _end_run(session, project_id, run, version, metrics, judged.decision, owner=owner)
            return get_version(session, project_id, final.name), judged.decision


def _keep(
    folder: Path,
    plan: RunPlan,
    run: Run,
    settings: RunSettings,
    metrics: Mapping[str, Any],
    decision: Decision,
) -> tuple[str, Path]:
    """Write the card and give the model its final name, before the database names it.

    Returns:
        The SHA-256 of the checkpoint, and the model's folder.
    """
    sha256 = checkpoint_sha256(folder)
    final = settings.models_folder / f"{_slug(settings.project)}-{run.id}-{sha256[:8]}"
    write_card(
        folder,
        name=final.name,
        plan=plan,
        metrics=metrics,
        decision=decision,
        run=run,
        encoder=settings.encoder,
        device=settings.device,
        training=_training_of(run, settings),
    )
    move_whole(folder, final)
    return sha256, final


def _start(
    database: Database, project_id: int, run: Run, settings: RunSettings
) -> WarmStart | None:
    """Return the version that a run was asked to start from; None is the pre-trained encoder."""
    name = run.settings.get("start_from")
    if name is None:
        return None
    with database.read() as session:
        version = get_version(session, project_id, name)
    check_files(version)
    return WarmStart(folder=Path(version.folder), keep=settings.warm_keep)


def _end_run(
    session: Session,
    project_id: int,
    run: Run,
    version: ModelVersion,
    metrics: Mapping[str, Any],
    decision: Decision,
    *,
    owner: str,
) -> None:
    add_evaluation(
        session,
        version.id,
        split="holdout",
        metrics=metrics,
        n_sentences=metrics["n_sentences"],
    )
    promoted = decision.promote or run.force
    reasons = list(decision.reasons)
    if run.force and not decision.promote:
        reasons.append("promoted by force")
    if promoted:
        activate_version(session, project_id, version.id, provisional=decision.provisional)
    else:
        set_version_state(session, version.id, "held")
    audit(
        session,
        project_id,
        actor=owner,
        action="promote" if promoted else "hold",
        version=version.name,
        run=run.id,
        reasons=reasons,
        forced=run.force,
    )
    log_run(
        session,
        run.id,
        "gate",
        promoted=promoted,
        reasons=reasons,
        version=version.name,
        ner_f1=round(metrics["ner"]["micro"]["f1"], 1),
        re_f1=round(metrics["re"]["micro"]["f1"], 1),
    )
    state = "succeeded" if promoted else "held"
    finish_run(session, run.id, owner=owner, state=state, reasons=reasons)


def _slug(project: str) -> str:
    # Used in a folder name and in a glob pattern: no slash, no star.
    return re.sub(r"[^\w.-]+", "-", project)


def _write_origin(folder: Path, plan: RunPlan, run: Run) -> None:
    origin = {
        "run": run.id,
        "submitted_at": run.created_at.isoformat(),
        "snapshot": plan.snapshot.digest,
        "n_train": len(plan.train),
        "n_dev": len(plan.dev),
        "n_holdout": len(plan.holdout),
        "n_left_out": plan.n_left_out,
        "start_from": run.settings.get("start_from"),
        "finished_at": datetime.now(UTC).isoformat(),
    }
    (folder / ORIGIN_FILE).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def _train(
    plan: RunPlan, run: Run, settings: RunSettings, start: WarmStart | None, report: Report
) -> Path:
    folder = settings.models_folder / folder_of_run(run)
    # A checkpoint appears whole or not at all, so one that is there is the run's result: a run
    # that was killed later than that does not train twice, even after the rename.
    renamed = settings.models_folder.glob(f"{_slug(settings.project)}-{run.id}-????????")
    for done in renamed:
        if was_made_by(run, done):
            return done

    def on_progress(progress: TrainingProgress) -> None:
        report(
            {
                "phase": "train",
                "epoch": progress.epoch,
                "n_epochs": progress.n_epochs,
                "step": progress.step,
                "n_steps": progress.n_steps,
                "loss": round(progress.loss, 4),
                "words_per_s": round(progress.words_per_s),
                "remaining_s": round(progress.remaining_s),
                "memory_mb": progress.memory_mb,
                "n_micro": progress.n_micro,
                "resumed_from": progress.resumed_from,
            }
        )

    drop_asides(folder)
    if not folder.is_dir():
        settings.models_folder.mkdir(parents=True, exist_ok=True)
        settings.engine.train(
            plan.train,
            schema=plan.snapshot.schema,
            encoder=settings.encoder,
            settings=_training_of(run, settings),
            folder=folder,
            dev=plan.dev,
            device=settings.device,
            on_progress=on_progress,
            start=start,
        )
    if not was_made_by(run, folder):
        _write_origin(folder, plan, run)
    return folder


def _training_of(run: Run, settings: RunSettings) -> TrainingSettings:
    whole = settings.training
    if run.settings.get("start_from") is None:
        return whole
    return replace(
        whole,
        epochs=max(1, round(whole.epochs * settings.warm_share)),
        min_steps=round(whole.min_steps * settings.warm_share),
    )
