"""The worker: a huey consumer whose tasks act on rows, and a child process a training run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from huey import crontab
from huey.consumer import Consumer

from annotator.errors import AnnotatorError
from annotator.jobs.queue import JobQueue
from annotator.jobs.tend import Tender
from annotator.logs import get_logger
from annotator.services.status import WORKER_LEASE
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.leases import release_lease, take_lease
from annotator.store.runs import claim_run, fail_or_requeue, get_run, release_run

__all__ = ["Worker", "worker_name"]

_log = get_logger("worker")
_PRESENCE_S = 5.0


def worker_name() -> str:
    """Name this process for leases: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Worker:
    """Works for one project until it is stopped. ``close()`` may be called twice."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.owner = worker_name()
        self.database = Database(settings.database)
        self.queue = JobQueue(settings.queue)
        self.tender = Tender(settings, self.database, self.queue, self.owner)
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._closed = False

    def run(self) -> None:
        """Work until SIGINT or SIGTERM."""
        consumer = self._consumer()
        presence = threading.Thread(target=self._be_present, name="presence", daemon=True)
        presence.start()
        consumer.start()
        for number in (signal.SIGINT, signal.SIGTERM):  # after huey, which sets its own
            signal.signal(number, self._on_signal)
        _log.info("worker.started", owner=self.owner, project=self.settings.project)
        _logged("tend", self.tender.tend)(True)
        while not self._stopping.wait(0.5):
            pass
        self._stop_children()
        consumer.stop(graceful=True)
        presence.join()
        _log.info("worker.stopped", owner=self.owner)

    def _consumer(self) -> Consumer:
        huey = self.queue.huey
        self.queue.handle("train", _logged("train", self.train))
        self.queue.handle("tend", _logged("tend", self.tender.tend))
        self.queue.handle("publish", _logged("publish", self.tender.publish))
        huey.periodic_task(crontab(minute="*"), name="every-minute")(
            _logged("tend", self.tender.tend)
        )
        return Consumer(huey, workers=3, worker_type="thread", initial_delay=0.1, max_delay=1.0)

    def train(self, run_id: int) -> None:
        """Claim a run and see its child through, or leave it to whoever holds it."""
        with self.database.write() as session:
            run = claim_run(session, run_id, owner=self.owner, lease_s=self.settings.lease_s)
        if run is None:
            return
        _log.info("run.started", run_id=run_id, attempt=run.attempts)
        child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [
                sys.executable,
                "-m",
                "annotator.jobs.training",
                str(self.settings.home),
                str(run_id),
                self.owner,
            ],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the worker's to answer
        )
        self._children[run_id] = child
        code = child.wait()
        del self._children[run_id]
        if code != 0:
            self._record_death(run_id, code)
        self.queue.publish()
        self.queue.tend(delay_s=1.0)

    def _record_death(self, run_id: int, code: int) -> None:
        cause = (
            f"its process was killed by {signal.Signals(-code).name}"
            if code < 0
            else f"its process ended with code {code}"
        )
        if code == -signal.SIGKILL:
            cause += " (out of memory?)"
        with self.database.write() as session:
            run = get_run(session, run_id)
            if run.state != "running" or run.owner != self.owner:
                return
            if self._stopping.is_set():
                release_run(session, run_id, owner=self.owner)
                return
            state = fail_or_requeue(
                session,
                run_id,
                owner=self.owner,
                error=cause,
                max_attempts=self.settings.max_attempts,
            )
        _log.error("run.died", run_id=run_id, cause=cause, state=state)

    def _be_present(self) -> None:
        name = f"{WORKER_LEASE}{self.owner}"
        while not self._stopping.is_set():
            try:
                with self.database.write() as session:
                    take_lease(session, name, owner=self.owner, lease_s=4 * _PRESENCE_S)
            except AnnotatorError as error:
                _log.warning("presence.failed", error=str(error))
            self._stopping.wait(_PRESENCE_S)
        with self.database.write() as session:
            release_lease(session, name, owner=self.owner)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._stopping.set()

    def _stop_children(self) -> None:
        for child in list(self._children.values()):
            child.terminate()
        deadline = time.monotonic() + 10
        while self._children and time.monotonic() < deadline:
            time.sleep(0.1)
        for child in list(self._children.values()):
            child.kill()

    def close(self) -> None:
        """Stop children and give connections back."""
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        self._stop_children()
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
