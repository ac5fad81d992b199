"""Engines for SQLite (WAL) and PostgreSQL, and the two kinds of session made from them."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.orm import Session, sessionmaker

__all__ = ["Sessions", "make_engine", "make_sessions"]

_LOCK_WAIT_S = 30.0
_CACHE_KIB = 16_384  # the default of 2,000 is too small for random index pages of a million rows
_ASK_AGAIN_S = 0.001


def make_engine(url: str, *, lock_wait_s: float | None = None) -> Engine:
    """Create an engine for a SQLAlchemy URL (``sqlite:///file.db`` or ``postgresql://...``).

    A statement fails if another program holds the lock it needs for longer than ``lock_wait_s``;
    by default for 30 s on SQLite, and for ever on PostgreSQL.

    SQLite runs in WAL mode with foreign keys on. Transactions begin explicitly, and a writer takes
    its lock at once instead of failing half way. Errors do not show a statement's parameters: they
    are document text.
    """
    engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), hide_parameters=True)
    if engine.dialect.name == "sqlite":
        wait_s = _LOCK_WAIT_S if lock_wait_s is None else lock_wait_s
        event.listen(engine, "connect", partial(_set_pragmas, wait_s))
        event.listen(engine, "begin", partial(_begin, wait_s))
    elif lock_wait_s is not None:
        event.listen(engine, "connect", partial(_set_lock_timeout, lock_wait_s))
    return engine


def _set_lock_timeout(wait_s: float, connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {round(wait_s * 1000)}")
    connection.commit()


def _set_pragmas(wait_s: float, connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions itself
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={round(wait_s * 1000)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    cursor.close()


def _begin(wait_s: float, connection: Connection) -> None:
    if not connection.get_execution_options().get("annotator_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own busy handler sleeps longer each time, up to a tenth of a second, so whoever has
    # waited longest retries least often. So we retry for the lock ourselves.
    deadline = time.monotonic() + wait_s
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while not _take_lock(connection, deadline):
            time.sleep(_ASK_AGAIN_S)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={round(wait_s * 1000)}")


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
