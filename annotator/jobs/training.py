"""A training run in its own process, which renews the run's lease, trains, and ends the run.

Run as ``python -m annotator.jobs.training HOME RUN_ID OWNER DEVICE``. The worker that spawned it
only waits, and records how it died if it did, so that an out-of-memory kill leaves a reason.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from annotator.errors import (
    AnnotatorError,
    CancelledError,
    LeaseLostError,
    NotFoundError,
    StoreError,
)
from annotator.jobs.deaths import cause_of
from annotator.jobs.heartbeat import Heartbeat
from annotator.logs import configure_logs, get_logger
from annotator.services.inference.compute import make_engine
from annotator.services.models.submit import recipe
from annotator.services.models.train import RunSettings, run_training
from annotator.settings import Settings, load_settings
from annotator.store.database import Database
from annotator.store.projects import get_project
from annotator.store.runs import check_run, fail_or_requeue, finish_run, get_run, note_settings
from annotator.store.versions import ModelVersion
from annotator.studio.processes import signal_group
from annotator.training import TrainingSettings

__all__ = ["execute_run", "main", "record_crash", "run_settings"]

_log = get_logger("jobs")


def run_settings(settings: Settings, device: str) -> RunSettings:
    """Return the part of the project's settings that a run needs."""
    return RunSettings(
        project=settings.project,
        encoder=settings.encoder,
        device=device,
        models_folder=settings.models_folder,
        training=TrainingSettings(
            epochs=settings.epochs,
            min_steps=settings.min_steps,
            batch_size=settings.batch_size,
            seed=settings.seed,
            save_every_s=settings.save_every_s,
        ),
        engine=make_engine(settings),
        warm_keep=settings.warm_keep,
        warm_share=settings.warm_share,
        holdout_least=settings.holdout_least,
    )


def execute_run(
    settings: Settings,
    database: Database,
    run_id: int,
    *,
    owner: str,
    on_stall: Callable[[str], None] = lambda _cause: None,
) -> str:
    """Execute a claimed run and return its final state. ``on_stall`` is as for ``Heartbeat``.

    Failures that training explains (no gold, a loss that is not finite) end the run as failed.
    Failures that another attempt may not meet are raised: an unreachable database, an expired
    lease, anything unexpected.
    """
    from annotator.model.device import pick_device
    from annotator.model.memory import limit_memory

    database = database.guarded(lambda session: check_run(session, run_id, owner=owner))
    _note_recipe(settings, database, run_id)
    device = pick_device(settings.device)
    limit_memory(device, settings.gpu_memory_share)
    beat = Heartbeat(
        database,
        run_id,
        owner=owner,
        lease_s=settings.lease_s,
        stall_s=settings.stall_s,
        on_stall=on_stall,
    )
    try:
        with beat:
            version = _train(settings, database, run_id, device, beat.report, owner=owner)
    except CancelledError:
        state, error = "cancelled", None
    except NotFoundError as failure:
        state, error = "failed", str(failure)
    except (LeaseLostError, StoreError):
        raise
    except AnnotatorError as failure:
        state, error = "failed", str(failure)
    else:
        promoted = version.state == "active"
        _log.info("run.ended", run_id=run_id, version=version.name, promoted=promoted)
        return "succeeded" if promoted else "held"
    with database.write() as session:
        finish_run(session, run_id, owner=owner, state=state, error=error)
    _log.info("run.ended", run_id=run_id, state=state, error=error)
    return state


def _note_recipe(settings: Settings, database: Database, run_id: int) -> None:
    """Keep what a run was submitted with, so that each attempt starts from the same version."""
    with database.write() as session:
        run = get_run(session, run_id)
        made_with = {**recipe(settings), "start_from": run.settings.get("start_from")}
        note_settings(session, run_id, made_with)


def _train(
    settings: Settings,
    database: Database,
    run_id: int,
    device: str,
    report: Callable[[Mapping[str, Any]], None],
    *,
    owner: str,
) -> ModelVersion:
    with database.read() as session:
        project = get_project(session, settings.project)
    version, _ = run_training(
        database,
        project.id,
        run_id,
        owner=owner,
        settings=run_settings(settings, device),
        report=report,
    )
    return version


def record_crash(
    settings: Settings, database: Database, run_id: int, error: BaseException, *, owner: str
) -> str:
    """Record in a run's row how it died; return its new state: queued again, or failed for good.

    Raises:
        StoreError: if the database cannot be reached; the lease then runs out.
        LeaseLostError: if the run is no longer ours.
    """
    with database.write() as session:
        return fail_or_requeue(
            session,
            run_id,
            owner=owner,
            error=cause_of(error),
            max_attempts=settings.max_attempts,
        )


def _end_hung(
    settings: Settings, database: Database, run_id: int, cause: str, *, owner: str
) -> None:
    """Record that this process hangs, and kill it with all that it has started."""
    _log.error("run.hung", run_id=run_id, cause=cause)
    try:
        with database.write() as session:
            fail_or_requeue(
                session, run_id, owner=owner, error=cause, max_attempts=settings.max_attempts
            )
    except AnnotatorError as error:  # its lease then runs out
        _log.warning("death.not_recorded", run_id=run_id, error=str(error))
    signal_group(os.getpid(), signal.SIGKILL)
    os._exit(1)  # leads no group


def main(arguments: list[str]) -> int:
    """Execute one claimed run; the exit code is 0 if its row says how it ended."""
    home, run_id, owner = Path(arguments[0]), int(arguments[1]), arguments[2]
    settings = load_settings(home, device=arguments[3])  # the worker's option, not the file's
    configure_logs(json_lines=settings.log_json)
    database = Database(settings.database)
    try:
        execute_run(
            settings,
            database,
            run_id,
            owner=owner,
            on_stall=lambda cause: _end_hung(settings, database, run_id, cause, owner=owner),
        )
    except LeaseLostError as error:
        _log.warning("run.lost", run_id=run_id, error=str(error))
    except Exception as error:  # the job runner's edge: the row must say what it was
        _log.exception("run.crashed", run_id=run_id)
        record_crash(settings, database, run_id, error, owner=owner)
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
