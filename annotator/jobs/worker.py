"""The worker: a huey consumer whose tasks act on rows, and one child process a training run."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from huey.consumer import Consumer

from annotator.errors import AnnotatorError, NewerDatabaseError, StoreError
from annotator.jobs.housekeeper import Housekeeper
from annotator.jobs.messages import JobQueue, OutageFilter
from annotator.jobs.training_process import TrainingProcess
from annotator.live_settings import LiveSettings
from annotator.logs import get_logger
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.leases import WORKER_LEASE, release_lease, take_lease
from annotator.store.runs import claim_run, fail_or_requeue, get_run, release_run

__all__ = ["Worker", "worker_name"]

_log = get_logger("worker")
_PRESENCE_S = 5.0
_TEND_S = 60.0
_SHUTDOWN_S = 10.0


def worker_name() -> str:
    """Return this process's name for leases: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """Works for one project until it is stopped. ``close()`` may be called twice."""

    def __init__(self, settings: Settings) -> None:
        self.live = LiveSettings(settings)
        self.owner = worker_name()
        self.database = Database(settings.database)
        self.queue = JobQueue(settings.queue, secret=settings.queue_secret)
        self.housekeeper = Housekeeper(self.live, self.database, self.queue, self.owner)
        self._processes: dict[int, TrainingProcess] = {}
        self._stopping = threading.Event()
        self._signalled = False
        self._closed = False

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.live.current()

    def run(self) -> None:
        """Work until SIGINT or SIGTERM.

        Raises:
            NewerDatabaseError: if a newer program has upgraded the database meanwhile; runs under
                way are stopped.
        """
        consumer = self._consumer()
        presence = threading.Thread(target=self._be_present, name="presence", daemon=True)
        presence.start()
        consumer.start()
        for number in (signal.SIGINT, signal.SIGTERM):  # after huey, which sets its own handlers
            signal.signal(number, self._on_signal)
        _log.info("worker.started", owner=self.owner, project=self.settings.project)
        first = threading.Thread(target=self._catch_up, name="catch-up", daemon=True)
        first.start()
        try:
            self._wait_for_signal()
        finally:
            self._stopping.set()
            self._stop_processes()
            consumer.stop(graceful=True)
            presence.join()
            _log.info("worker.stopped", owner=self.owner)

    def _catch_up(self) -> None:
        _logged("tend", self.housekeeper.tend)(True)
        _logged("publish", self.queue.publish)()  # a killed worker may have left it half done

    def _wait_for_signal(self) -> None:
        pause_s = min(_TEND_S, self.settings.lease_s)
        tend_at = time.monotonic() + pause_s
        while not self._signalled:
            time.sleep(0.2)
            if time.monotonic() >= tend_at:
                tend_at = time.monotonic() + pause_s
                self._check_database()
                _logged("tend", self.queue.tend)()

    def _check_database(self) -> None:
        try:
            self.database.check_revision()
        except NewerDatabaseError:
            raise
        except AnnotatorError as error:  # unreachable for now
            _log.warning("database.unreachable", error=str(error))

    def _consumer(self) -> Consumer:
        huey = self.queue.huey
        OutageFilter().attach()
        self.queue.handle("train", _logged("train", self.train))
        self.queue.handle("tend", _logged("tend", self.housekeeper.tend))
        self.queue.handle("publish", _logged("publish", self.housekeeper.publish))
        return Consumer(
            huey,
            workers=3,
            worker_type="thread",
            initial_delay=0.1,
            max_delay=1.0,
            shutdown_timeout=_SHUTDOWN_S,  # the next worker redoes what is cut off
        )

    def train(self, run_id: int) -> None:
        """Claim a run and wait for its child process; do nothing if it cannot be claimed."""
        # A name for this attempt only: the process of an earlier one must not renew its lease.
        owner = f"{self.owner}/{secrets.token_hex(3)}"
        with self.database.write() as session:
            run = claim_run(session, run_id, owner=owner, lease_s=self.settings.lease_s)
        if run is None:
            return
        _log.info("run.started", run_id=run_id, attempt=run.attempts)
        process = TrainingProcess(self.settings, self.database, run_id, owner=owner)
        self._processes[run_id] = process
        try:
            if self._stopping.is_set():  # asked to stop before the process existed
                process.terminate()
            cause = process.see_through()
        finally:
            process.kill()  # whatever happened here, nothing of it works on unwatched
            del self._processes[run_id]
        if cause is not None:
            self._record_death(run_id, owner, cause)
        if not self._stopping.is_set():
            self.queue.publish()
            self.queue.tend(delay_s=1.0)

    def _record_death(self, run_id: int, owner: str, cause: str) -> None:
        # Wait for the database so that the reason is recorded, but no longer than a lease lasts.
        deadline = time.monotonic() + self.settings.lease_s
        while True:
            try:
                state = self._end_or_put_back(run_id, owner, cause)
                break
            except StoreError as error:
                if time.monotonic() > deadline or self._stopping.is_set():
                    raise
                _log.warning("death.not_recorded", run_id=run_id, error=str(error))
                time.sleep(1.0)
        if state is not None:
            _log.error("run.died", run_id=run_id, cause=cause, state=state)

    def _end_or_put_back(self, run_id: int, owner: str, cause: str) -> str | None:
        with self.database.write() as session:
            run = get_run(session, run_id)
            if run.state != "running" or run.owner != owner:
                return None
            if self._stopping.is_set():
                release_run(session, run_id, owner=owner)
                return None
            return fail_or_requeue(
                session,
                run_id,
                owner=owner,
                error=cause,
                max_attempts=self.settings.max_attempts,
            )

    def _be_present(self) -> None:
        name = f"{WORKER_LEASE}{self.owner}"
        while not self._stopping.is_set():
            try:
                with self.database.write() as session:
                    take_lease(session, name, owner=self.owner, lease_s=4 * _PRESENCE_S)
            except AnnotatorError as error:
                _log.warning("presence.failed", error=str(error))
            self._stopping.wait(_PRESENCE_S)
        with suppress(AnnotatorError), self.database.write() as session:  # else it runs out
            release_lease(session, name, owner=self.owner)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._signalled = True  # takes no lock: a signal handler runs between any two steps

    def _stop_processes(self) -> None:
        for process in list(self._processes.values()):
            process.terminate()
        deadline = time.monotonic() + _SHUTDOWN_S
        while self._processes and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in list(self._processes.values()):
            process.kill()

    def close(self) -> None:
        """Stop training processes and close connections."""
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        self._stop_processes()
        self.queue.close()
        self.database.close()


def _logged(name: str, body: Callable[..., Any]) -> Callable[..., None]:
    def task(*args: Any) -> None:
        try:
            body(*args)
        except AnnotatorError as error:
            _log.error("job.failed", job=name, error=str(error))
        except Exception:  # the job runner's edge: log it and work on
            _log.exception("job.crashed", job=name)

    return task
