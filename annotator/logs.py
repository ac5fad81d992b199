"""Logging: events with fields, in UTC, to stderr; document text never gets through."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

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


def drop_private(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace every field that may carry text or secrets by its length."""
    for key in _FORBIDDEN & event.keys():
        value = event[key]
        event[key] = f"<dropped, length {len(value)}>" if hasattr(value, "__len__") else "<dropped>"
    return event


def configure_logs(*, json_lines: bool, level: str = "INFO") -> None:
    """Set up logging for this process. Call it once, at a program's entry."""
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        drop_private,
    ]
    if json_lines:
        chain += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        chain.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that names its room in each event."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(room=name)
    return logger
