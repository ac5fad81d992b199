"""The process of a training run as its worker sees it: started, watched, and ended as a whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from annotator.errors import AnnotatorError, LeaseLostError
from annotator.jobs.deaths import cause_of_code, count_oom_kills
from annotator.jobs.heartbeat import StallWatch
from annotator.logs import get_logger
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.runs import get_run, heartbeat
from annotator.studio.processes import signal_group

__all__ = ["TrainingProcess", "training_command"]

_log = get_logger("worker")
_KILL_S = 10.0


def training_command(settings: Settings, run_id: int, owner: str) -> list[str]:
    """Return the command that executes a claimed run."""
    module = [sys.executable, "-m", "annotator.jobs.training"]
    return [*module, str(settings.home), str(run_id), owner, settings.device]


class TrainingProcess:
    """An attempt at a run: a process that leads a group with all that it starts. POSIX only.

    ``owner`` holds the run. ``kill`` may be called at any time and any number of times.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        run_id: int,
        *,
        owner: str,
        command: Sequence[str] | None = None,
    ) -> None:
        self._settings, self._database = settings, database
        self._run_id, self._owner = run_id, owner
        self._pause_s = min(2.0, settings.lease_s / 4)
        self._watch = StallWatch(settings.stall_s, pause_s=self._pause_s)
        self._why: str | None = None  # what it is killed for
        self._cancelled_at: float | None = None
        self._n_oom_kills = count_oom_kills()
        self._child = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            command or training_command(settings, run_id, owner),
            stdin=subprocess.DEVNULL,
            # Makes matrix products, and so the weights, reproducible on a GPU as well.
            env={"CUBLAS_WORKSPACE_CONFIG": ":4096:8", **os.environ},
            start_new_session=True,  # only the worker handles Ctrl-C
        )

    def see_through(self) -> str | None:
        """Wait for the end, and bring it about where the run is lost, hangs, or ignores a cancel.

        Returns:
            What the process died of; None if the run's row says how it ended.
        """
        while True:
            try:
                code = self._child.wait(timeout=self._pause_s)
            except subprocess.TimeoutExpired:
                self._look_after()
                continue
            if self._why is not None or code == 0:
                return self._why
            return cause_of_code(code, oom_kills=count_oom_kills() - self._n_oom_kills)

    def terminate(self) -> None:
        """Ask the process and all that it started to end."""
        signal_group(self._child.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill what is left of the group, also after its leader has died."""
        signal_group(self._child.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # the system holds it, as on a dead network disk
            self._child.wait(timeout=_KILL_S)

    def _look_after(self) -> None:
        began = time.monotonic()
        state, progress = self._beat()
        looking_s = time.monotonic() - began
        self._why = self._why or self._watch.find(progress, looking_s=looking_s)
        if state == "cancelled":
            self._cancelled_at = self._cancelled_at or time.monotonic()
        is_deaf = (
            self._cancelled_at is not None
            and time.monotonic() - self._cancelled_at > self._settings.lease_s
        )
        if is_deaf and self._why is None:
            self._why = "it was asked to stop and did not react"
        # Lost: another worker may have the run, and two must not write its files.
        if self._why is not None or state == "lost":
            signal_group(self._child.pid, signal.SIGKILL)

    def _beat(self) -> tuple[str, Mapping[str, Any] | None]:
        """Renew the lease; return what that told, and the run's progress if it can be read.

        The process renews the lease itself once it has started, which takes a while.
        """
        try:
            with self._database.write() as session:
                run = get_run(session, self._run_id)
                cancelled = heartbeat(
                    session, self._run_id, owner=self._owner, lease_s=self._settings.lease_s
                )
        except LeaseLostError:
            return ("ended" if run.owner == self._owner else "lost"), run.progress
        except AnnotatorError as error:
            _log.warning("heartbeat.failed", run_id=self._run_id, error=str(error))
            return "unknown", None
        return ("cancelled" if cancelled else "ours"), run.progress
