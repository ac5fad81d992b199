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

from annotator.errors import ConfigError, ForeignMessageError, JobError
from annotator.jobs.signing import SignedMessages
from annotator.resources import install_command

__all__ = ["JOBS", "JobQueue", "OutageFilter", "make_huey"]

JOBS = ("train", "tend", "publish")
_OUTAGE_S = 60.0
_LOGGERS = ("huey", "huey.consumer", "huey.consumer.Worker", "huey.consumer.Scheduler")


def make_huey(url: str, serializer: SignedMessages) -> Any:
    """Make the huey instance for ``sqlite:///FILE``, ``redis://...`` or ``postgresql://...``.

    Raises:
        ConfigError: if the URL is of another kind, or its driver is not installed.
        JobError: if the file cannot be opened.
    """
    options: dict[str, Any] = {"serializer": serializer, "results": False, "utc": True}
    try:
        if url.startswith("sqlite:///"):
            file = url.removeprefix("sqlite:///")
            return SqliteHuey("annotator", filename=file, **options)
        if url.startswith(("redis://", "rediss://")):
            return RedisHuey("annotator", url=url, **options)
        if url.startswith("postgresql://"):
            return PostgresHuey("annotator", dsn=url, **options)
    except (ModuleNotFoundError, ConfigurationError):
        extra = "redis" if url.startswith("redis") else "postgres"
        raise ConfigError(
            f"queue_url needs a driver that is missing: {install_command(extra)}"
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
    """Makes huey log an unreachable server, or foreign messages, in one line, once a minute.

    Otherwise each of its threads logs two tracebacks at every try, several a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._not_before: dict[bool, float] = {}

    def attach(self) -> None:
        """Filter the logs of huey's consumer and its threads."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def detach(self) -> None:
        """Stop filtering."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten such a failure, or drop it if one of its kind was logged recently."""
        error = record.exc_info[1] if record.exc_info else None
        is_foreign = isinstance(error, ForeignMessageError)
        if not is_foreign and not isinstance(error, _engine_errors()):
            return True
        now = time.monotonic()
        if now < self._not_before.get(is_foreign, 0.0):
            return False
        self._not_before[is_foreign] = now + _OUTAGE_S
        record.exc_info = record.exc_text = None
        record.msg = "the queue cannot be reached (%s); it is tried again until it can"
        record.args = (type(error).__name__,)
        if is_foreign:
            record.msg, record.args = str(error), ()
        return True


class JobQueue:
    """Sends jobs to the worker; in the worker, receives them. ``close()`` may be called twice.

    ``secret`` signs the messages; the programs of a project share it.
    """

    def __init__(self, url: str, *, secret: str) -> None:
        names: set[str] = set()
        self.huey = make_huey(url, SignedMessages(secret, names))
        # Nothing is ever revoked here; whoever writes to the storage must not be able to either.
        self.huey.is_revoked = lambda *_args, **_kwargs: False
        self._handlers: dict[str, Callable[..., None]] = {}
        self._tasks = {name: self._declare(name) for name in JOBS}
        kinds = [task.task_class for task in self._tasks.values()]
        names.update(f"{kind.__module__}.{kind.__name__}" for kind in kinds)

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
