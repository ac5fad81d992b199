"""A training run in a process of its own: it heartbeats, trains, decides and ends its row.

Run as ``python -m annotator.jobs.training HOME RUN_ID OWNER DEVICE``. The worker that spawned it
only waits, and records how it died if it did: an out-of-memory kill leaves a reason behind.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from annotator.errors import AnnotatorError, CancelledError, LeaseLostError, StoreError
from annotator.logs import configure_logs, get_logger
from annotator.services.engine import LocalEngine
from annotator.services.retrain import RunSettings, run_training
from annotator.settings import Settings, load_settings
from annotator.store.database import Database
from annotator.store.projects import get_project
from annotator.store.runs import finish_run, heartbeat
from annotator.training import TrainingSettings

__all__ = ["Heart", "execute_run", "main", "run_settings"]

_log = get_logger("jobs")


def run_settings(settings: Settings, device: str) -> RunSettings:
    """Return what a run needs of the project's settings."""
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
        ),
        engine=LocalEngine(processes=settings.processes),
    )


class Heart:
    """Keeps a run's lease alive from a thread and carries its progress."""

    def __init__(self, database: Database, run_id: int, *, owner: str, lease_s: float) -> None:
        self._database = database
        self._run_id = run_id
        self._owner = owner
        self._lease_s = lease_s
        self._progress: Mapping[str, Any] | None = None
        self._ended: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heart-{run_id}", daemon=True)

    def __enter__(self) -> Heart:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def report(self, progress: Mapping[str, Any]) -> None:
        """Take progress, to be stored at the next beat.

        Raises:
            CancelledError: if somebody asked the run to stop.
            LeaseLostError: if another worker holds the run.
        """
        self._progress = {**progress, "at": time.time()}
        if self._ended is not None:
            raise self._ended

    def _beat(self) -> None:
        pause_s = min(2.0, self._lease_s / 4)
        while not self._stop.wait(pause_s):
            try:
                with self._database.write() as session:
                    cancelled = heartbeat(
                        session,
                        self._run_id,
                        owner=self._owner,
                        lease_s=self._lease_s,
                        progress=self._progress,
                    )
                if cancelled:
                    self._ended = CancelledError(f"run {self._run_id} was cancelled")
            except LeaseLostError as error:
                self._ended = error
                return
            except StoreError as error:
                _log.warning("heartbeat.failed", run_id=self._run_id, error=str(error))


def execute_run(settings: Settings, database: Database, run_id: int, *, owner: str) -> str:
    """Do a claimed run to its end and return its final state.

    Failures that training explains (no gold, a loss that is not finite) end the run as failed;
    anything unexpected is raised, for the worker to record.
    """
    from annotator.model.device import pick_device

    with database.read() as session:
        project = get_project(session, settings.project)
    beat = Heart(database, run_id, owner=owner, lease_s=settings.lease_s)
    try:
        with beat:
            version, _ = run_training(
                database,
                project.id,
                run_id,
                owner=owner,
                settings=run_settings(settings, pick_device(settings.device)),
                report=beat.report,
            )
    except CancelledError:
        state, error = "cancelled", None
    except LeaseLostError:
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


def main(arguments: list[str]) -> int:
    """Do one claimed run; the exit code is 0 if its row was ended properly."""
    home, run_id, owner = Path(arguments[0]), int(arguments[1]), arguments[2]
    settings = load_settings(home, device=arguments[3])  # the worker's option, not the file's
    configure_logs(json_lines=settings.log_json)
    database = Database(settings.database)
    try:
        execute_run(settings, database, run_id, owner=owner)
    except LeaseLostError as error:
        _log.warning("run.lost", run_id=run_id, error=str(error))
    finally:
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
