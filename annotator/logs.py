"""Logging: events with fields, in UTC, to stderr; document text is never logged."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:  # imported with the first event: most commands log nothing
    import structlog

__all__ = ["configure_logs", "get_logger"]

_FORBIDDEN = frozenset(
    {
        "access_token",
        "authorization",
        "body",
        "data",
        "password",
        "payload",
        "result",
        "text",
        "token",
    }
)

_wanted: tuple[bool, str] | None = None  # how to configure structlog before the first event


def drop_private(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace every field that may hold text or secrets by its length."""
    for key in _FORBIDDEN & event.keys():
        value = event[key]
        event[key] = f"<dropped, length {len(value)}>" if hasattr(value, "__len__") else "<dropped>"
    return event


def format_traceback(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Reduce an exception to its type and the code lines of its traceback.

    Neither its message nor any variable is kept: both may hold document text.
    """
    info = event.pop("exc_info", None)
    if not info:
        return event
    error = info if isinstance(info, BaseException) else sys.exc_info()[1]
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        event["error"] = type(error).__name__
        event["trace"] = " < ".join(
            f"{Path(frame.filename).name}:{frame.lineno}:{frame.name}" for frame in reversed(frames)
        )
    return event


def configure_logs(*, json_lines: bool, level: str = "INFO") -> None:
    """Set up logging for this process. Call it once, at a program's entry point."""
    global _wanted
    _wanted = json_lines, level
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def _configure(json_lines: bool, level: str) -> None:
    import structlog

    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_private,
        format_traceback,
    ]
    if json_lines:
        chain.append(structlog.processors.JSONRenderer())
    else:
        chain.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class _Logger:
    """A structlog logger that is created with the first event."""

    def __init__(self, room: str) -> None:
        self._room = room

    def __getattr__(self, method: str) -> Any:
        global _wanted
        import structlog

        if _wanted is not None:
            _configure(*_wanted)
            _wanted = None
        return getattr(structlog.get_logger(room=self._room), method)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that puts ``name`` in each event as its ``room``."""
    return cast("structlog.stdlib.BoundLogger", _Logger(name))
