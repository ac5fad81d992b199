"""What a request works with: the parts given to ``create_app``, and nothing global."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from flask import current_app
from prometheus_client import CollectorRegistry

from annotator.live_settings import LiveSettings
from annotator.logs import get_logger
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.studio.config import LabelConfig
from ml_backend.models import ModelHost
from ml_backend.tracebacks import describe_fault

if TYPE_CHECKING:  # huey is loaded where the program is put together
    from annotator.jobs.messages import JobQueue

__all__ = ["Backend", "Waker", "current_backend"]

_EXTENSION = "annotator"
_PAUSE_S = 1.0
_log = get_logger("backend")


class Waker:
    """Wakes the worker at most about once a second, however many events come in."""

    def __init__(self, queue: JobQueue, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._lock = threading.Lock()
        self._next_at = float("-inf")

    def wake(self) -> None:
        """Ask the worker to look for work, now or in a moment.

        Never fails, since a worker looks for work by itself too. The last event of a burst is
        always followed by a wake-up.
        """
        with self._lock:
            delay_s = self._next_at - self._clock()
            if delay_s > _PAUSE_S:
                return  # a wake-up is already scheduled that comes after this event
            self._next_at = self._clock() + max(0.0, delay_s) + _PAUSE_S
        self._send(max(0.0, delay_s))

    def _send(self, delay_s: float) -> None:
        try:
            self._queue.tend(delay_s=delay_s)
        # The event is stored; a failure of the queue must not reach Label Studio.
        except Exception as error:
            _log.warning("queue.unreachable", **describe_fault(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The parts of one backend.

    ``read_config`` parses labeling configurations and caches the last ones. ``slots`` limits the
    predictions that run at once, so that threads are left for the quick calls. ``measured`` holds
    what ``/metrics`` serves.
    """

    live: LiveSettings
    database: Database
    models: ModelHost
    queue: JobQueue
    waker: Waker
    read_config: Callable[[str], LabelConfig]
    slots: threading.BoundedSemaphore
    static: Path
    measured: CollectorRegistry

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return self.live.current()

    def install(self, extensions: dict[str, object]) -> None:
        """Store this backend where ``current_backend`` finds it."""
        extensions[_EXTENSION] = self


def current_backend() -> Backend:
    """Return the backend that serves the current request."""
    return cast(Backend, current_app.extensions[_EXTENSION])
