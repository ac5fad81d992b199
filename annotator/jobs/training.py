"""A training run in its own process, which renews the run's lease, trains, and ends the run.

Run as ``python -m annotator.jobs.training HOME RUN_ID OWNER DEVICE``. The worker that spawned it
only waits, and records how it died if it did, so that an out-of-memory kill leaves a reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

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
    )


def execute_run(settings: Settings, database: Database, run_id: int, *, owner: str) -> str:
    """Execute a claimed run and return its final state.

    Failures that training explains (no gold, a loss that is not finite) end the run as failed.
    Failures that another attempt may not meet are raised: an unreachable database, an expired
    lease, anything unexpected.
    """
    from annotator.model.device import pick_device
    from annotator.model.memory import limit_memory

    with database.read() as session:
        project = get_project(session, settings.project)
        run = get_run(session, run_id)
    database = database.guarded(lambda session: check_run(session, run_id, owner=owner))
    # Keep what it was submitted with, so that another attempt starts from the same version.
    made_with = {**recipe(settings), "start_from": run.settings.get("start_from")}
    with database.write() as session:
        note_settings(session, run_id, made_with)
    device = pick_device(settings.device)
    limit_memory(device, settings.gpu_memory_share)
    beat = Heartbeat(database, run_id, owner=owner, lease_s=settings.lease_s)
    try:
        with beat:
            version, _ = run_training(
                database,
                project.id,
                run_id,
                owner=owner,
                settings=run_settings(settings, device),
                report=beat.report,
            )
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


def main(arguments: list[str]) -> int:
    """Execute one claimed run; the exit code is 0 if its row says how it ended."""
    home, run_id, owner = Path(arguments[0]), int(arguments[1]), arguments[2]
    settings = load_settings(home, device=arguments[3])  # the worker's option, not the file's
    configure_logs(json_lines=settings.log_json)
    database = Database(settings.database)
    try:
        execute_run(settings, database, run_id, owner=owner)
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
