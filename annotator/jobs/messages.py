"""The queue: huey carries run ids and wake-up calls; the database row is the truth.

huey loses a task whose worker is killed. Nothing here depends on a message: runs are rows with a
lease, and ``tend`` finds whatever is left to do.
"""

from __future__ import annotations

import logging
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

from huey import PostgresHuey, RedisHuey, SqliteHuey
from huey.exceptions import ConfigurationError, HueyException

from annotator.errors import ConfigError, JobError

__all__ = ["JOBS", "JobQueue", "OutageFilter", "make_huey"]

JOBS = ("train", "tend", "publish")
_OUTAGE_S = 60.0
_LOGGERS = ("huey.consumer", "huey.consumer.Worker", "huey.consumer.Scheduler")


def make_huey(url: str) -> Any:
    """Make the huey instance for ``sqlite:///FILE``, ``redis://...`` or ``postgresql://...``.

    Raises:
        ConfigError: if the URL is of another kind, or its driver is not installed.
        JobError: if the file cannot be opened.
    """
    try:
        if url.startswith("sqlite:///"):
            file = url.removeprefix("sqlite:///")
            return SqliteHuey("annotator", filename=file, results=False, utc=True)
        if url.startswith(("redis://", "rediss://")):
            return RedisHuey("annotator", url=url, results=False, utc=True)
        if url.startswith("postgresql://"):
            return PostgresHuey("annotator", dsn=url, results=False, utc=True)
    except (ModuleNotFoundError, ConfigurationError):
        extra = "redis" if url.startswith("redis") else "postgres"
        raise ConfigError(
            f"queue_url needs a driver that is missing: pip install 'annotator[{extra}]'"
        ) from None
    except sqlite3.Error as error:
        raise JobError(
            f"the queue cannot be reached ({error}); check that the folder of queue_url exists "
            "and may be written"
        ) from error
    except _engine_errors() as error:
        raise JobError(
            f"the queue cannot be reached ({type(error).__name__}); check queue_url and that its "
            "server runs"
        ) from error
    raise ConfigError("queue_url must be sqlite:///FILE, redis://HOST or postgresql://HOST/NAME")


def _engine_errors() -> tuple[type[Exception], ...]:
    """Return what the queue's engines raise if their server or file is unreachable."""
    drivers = ((sys.modules.get("psycopg"), "Error"), (sys.modules.get("redis"), "RedisError"))
    found = [getattr(module, name) for module, name in drivers if module is not None]
    return (HueyException, OSError, sqlite3.Error, *found)


class OutageFilter(logging.Filter):
    """Makes huey log an unreachable queue server in one line, once a minute.

    Otherwise each of its threads logs two tracebacks at every try, several a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._not_before = 0.0

    def attach(self) -> None:
        """Filter the logs of huey's consumer and its threads."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Stop filtering."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a failure to reach the queue, or drop it if one was logged recently."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, _engine_errors()):
            return True
        now = time.monotonic()
        if now < self._not_before:
            return False
        self._not_before = now + _OUTAGE_S
        record.exc_info = record.exc_text = None
        record.msg = "the queue cannot be reached (%s); it is tried again until it can"
        record.args = (type(error).__name__,)
        return True


class JobQueue:
    """Sends jobs to the worker; in the worker, receives them. ``close()`` may be called twice."""

    def __init__(self, url: str) -> None:
        self.huey = make_huey(url)
        self._handlers: dict[str, Callable[..., None]] = {}
        self._tasks = {name: self._declare(name) for name in JOBS}

    def _declare(self, name: str) -> Any:
        def job(*args: int) -> None:
            handler = self._handlers.get(name)
            if handler is None:
                raise JobError(f"this process sends {name} jobs but does not do them")
            handler(*args)

        return self.huey.task(name=name)(job)

    def handle(self, name: str, handler: Callable[..., None]) -> None:
        """Run ``handler`` for jobs called ``name``; only the worker calls this."""
        self._handlers[name] = handler

    def submit(self, run_id: int) -> None:
        """Ask a worker to claim a run."""
        self._send("train", run_id)

    def tend(self, delay_s: float = 0.0) -> None:
        """Ask a worker to look for work, now or later."""
        self._send("tend", delay_s=delay_s)

    def publish(self) -> None:
        """Ask a worker to bring Label Studio up to date with the active version."""
        self._send("publish")

    def _send(self, name: str, *args: int, delay_s: float = 0.0) -> None:
        task = self._tasks[name]
        try:
            if delay_s > 0:
                task.schedule(args=args, delay=delay_s)
            else:
                task(*args)
        except _engine_errors() as error:
            raise JobError(
                f"the queue cannot be reached ({type(error).__name__}); the work is not lost, "
                "a running worker finds it within a minute"
            ) from error

    def close(self) -> None:
        """Close the connection."""
        self.huey.storage.close()
        if isinstance(self.huey, RedisHuey):  # its storage does not close connections
            self.huey.storage.pool.disconnect()
