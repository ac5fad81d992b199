"""Engines for SQLite (WAL) and PostgreSQL, and the two kinds of session made from them."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.orm import Session, sessionmaker

__all__ = ["Sessions", "make_engine", "make_sessions"]

_BUSY_TIMEOUT_MS = 30_000
_CACHE_KIB = 16_384  # the default of 2,000 is too small for random index pages of a million rows
_ASK_AGAIN_S = 0.001


def make_engine(url: str) -> Engine:
    """Create an engine for a SQLAlchemy URL (``sqlite:///file.db`` or ``postgresql://...``).

    SQLite runs in WAL mode with foreign keys on. Transactions begin explicitly, and a writer takes
    its lock at once instead of failing half way. Errors do not show a statement's parameters: they
    are document text.
    """
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_pragmas)
        event.listen(engine, "begin", _begin)
    return engine


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    cursor.close()


def _begin(connection: Connection) -> None:
    if not connection.get_execution_options().get("annotator_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own busy handler sleeps longer each time, up to a tenth of a second, so whoever has
    # waited longest retries least often. So we retry for the lock ourselves.
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while not _take_lock(connection, deadline):
            time.sleep(_ASK_AGAIN_S)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")


def _take_lock(connection: Connection, deadline: float) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except exc.OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        if code != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
            raise
        return False
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Session factories: ``read`` for snapshots, ``write`` for transactions that change rows."""

    read: sessionmaker[Session]
    write: sessionmaker[Session]


def make_sessions(engine: Engine) -> Sessions:
    """Make both session factories over one pool of connections."""
    return Sessions(
        read=sessionmaker(engine, expire_on_commit=False),
        write=sessionmaker(engine.execution_options(annotator_writes=True), expire_on_commit=False),
    )
