"""Consistent copies of the whole database, made while programs write, and their restoring.

SQLite is copied by its own online backup, PostgreSQL by ``pg_dump`` and ``pg_restore``.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, exc, inspect, make_url, select, text

from annotator.errors import ConflictError, InputError, StoreError
from db import Base, make_engine
from db.tables import ModelVersionRow

__all__ = [
    "VERSION_NAME",
    "DatabaseFacts",
    "adopt",
    "copy_database",
    "has_rows",
    "put_copy",
    "read_facts",
    "sqlite_url",
]

# A version's name becomes a folder's: as a regular expression, for names from outside.
VERSION_NAME = r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*"
_PAGES = 4096
_ASIDE = "before_restore_"
_TOOLS = "PostgreSQL's client programs (on Debian: postgresql-client) of the server's version"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What a copy must hold: the migration, row counts by table, and the model versions named."""

    engine: str
    migration: str | None
    rows: dict[str, int]
    versions: list[dict[str, Any]] = field(default_factory=list)


# ---------------------------------------------------------------- out


def copy_database(url: str, target: Path, *, on_progress: Progress | None = None) -> DatabaseFacts:
    """Write a copy of the database as of now into a new file, checked and flushed to disk.

    Other programs can go on writing meanwhile.

    Raises:
        StoreError: if the database or its copying tool is unavailable, or the copy is damaged.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        facts = _copy_sqlite(Path(parsed.database or ""), target, on_progress)
    else:
        facts = _copy_postgres(parsed, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return facts


def _copy_sqlite(source: Path, target: Path, on_progress: Progress | None) -> DatabaseFacts:
    if not source.is_file():
        raise StoreError(f"database {source} is not there; check database_url")

    def report(_status: int, remaining: int, total: int) -> None:
        if on_progress is not None:
            on_progress(total - remaining, total)

    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.isolation_level = None
            old.execute("PRAGMA busy_timeout=30000")
            # An open read transaction keeps writers from restarting the copy.
            old.execute("BEGIN")
            old.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
            old.backup(new, pages=_PAGES, progress=report)
            old.execute("ROLLBACK")
            new.execute("PRAGMA journal_mode=DELETE")
            if (found := new.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise StoreError(
                    f"database {source} is damaged ({str(found).splitlines()[0]}): this copy is "
                    "no backup; go back to an earlier one (annotator db restore FILE)"
                )
    except sqlite3.Error as error:
        raise StoreError(f"database {source} cannot be copied: {error}") from error
    return read_facts(sqlite_url(target))


def _copy_postgres(url: URL, target: Path) -> DatabaseFacts:
    with _connected(url) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
        target.touch(mode=0o600)
        _run_tool(
            url,
            "pg_dump",
            *("--format=custom", "--no-owner", "--no-privileges"),
            *("--exclude-table=huey_*", f"--exclude-schema={_ASIDE}*"),
            *(f"--snapshot={snapshot}", f"--file={target}"),
        )
        return _facts(connection)


def sqlite_url(file: Path) -> str:
    """Return the URL of a file, whatever characters its name holds."""
    return f"sqlite:///{quote(str(file))}"


def read_facts(url: str) -> DatabaseFacts:
    """Return the facts of an existing database."""
    with _connected(make_url(url)) as connection:
        return _facts(connection)


def _facts(connection: Connection) -> DatabaseFacts:
    there = set(inspect(connection).get_table_names())
    if "alembic_version" not in there:
        raise StoreError("the database holds no project; check database_url")
    names = sorted(there & set(Base.metadata.tables))
    counts = {
        name: int(connection.execute(text(f'SELECT COUNT(*) FROM "{name}"')).scalar_one())  # noqa: S608
        for name in names
    }
    row = ModelVersionRow
    query = select(row.name, row.state, row.folder, row.sha256).order_by(row.id)
    return DatabaseFacts(
        engine=connection.dialect.name,
        migration=connection.execute(text("SELECT version_num FROM alembic_version")).scalar(),
        rows=counts,
        versions=[dict(found) for found in connection.execute(query).mappings()],
    )


# ---------------------------------------------------------------- back


def has_rows(url: str) -> bool:
    """Return whether a database holds a project, or is a file that cannot be read as one."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
        return False
    try:
        with _connected(parsed) as connection:
            if not inspect(connection).has_table("project"):
                return False
            return bool(connection.execute(text("SELECT COUNT(*) FROM project")).scalar_one())
    except StoreError:
        if parsed.get_backend_name() == "sqlite":
            return True
        raise


def adopt(url: str, models_folder: Path) -> None:
    """Adapt a restored copy: set its models' folders, drop leases, make the next pull read all.

    Raises:
        InputError: if a version's name is not that of a folder.
    """
    with _connected(make_url(url)) as connection:
        for name in connection.execute(select(ModelVersionRow.name)).scalars().all():
            if re.fullmatch(VERSION_NAME, name) is None:
                raise InputError(
                    "the database names a model version that is no folder's name: it was not "
                    "written by annotator; take another backup"
                )
            connection.execute(
                text("UPDATE model_version SET folder = :folder WHERE name = :name"),
                {"folder": str(models_folder / name), "name": name},
            )
        connection.execute(text("DELETE FROM lease"))
        connection.execute(text("UPDATE project SET pulled_until = NULL, pulled_at = NULL"))
        connection.commit()


def put_copy(url: str, copy: Path, *, mark: str) -> str | None:
    """Replace the database with a copy, and keep the old one aside under ``mark``.

    ``copy`` is a file that ``copy_database`` wrote for this engine; on SQLite it is moved.
    ``mark`` becomes part of a name: digits and underscores.

    Returns:
        Where the old database is now, None if there was none.

    Raises:
        ConflictError: if some program has the database open.
        StoreError: if the copy cannot be put there; the old database then stays in its place.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _put_sqlite(Path(parsed.database or ""), copy, mark)
    return _put_postgres(parsed, copy, mark)


def _put_sqlite(place: Path, copy: Path, mark: str) -> str | None:
    aside = place.with_name(f"{place.name}.{_ASIDE}{mark}")
    if place.exists():
        _close_wal(place)
    for ending in ("", "-wal", "-shm"):  # a log left behind would be replayed into the new one
        part = place.with_name(place.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    copy.replace(place)
    folder = os.open(place.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    return str(aside) if aside.exists() else None


def _close_wal(place: Path) -> None:
    """Move everything into the main file, which SQLite allows only if nobody else has it open."""
    try:
        with closing(sqlite3.connect(place, timeout=2.0)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise _in_use() from error
    except sqlite3.DatabaseError:
        pass  # damaged: keep it aside as it is


def _in_use() -> ConflictError:
    return ConflictError(
        "a program has the database open: stop annotator serve and annotator worker, on every "
        "machine, and whatever else reads it, and try again"
    )


def _put_postgres(url: URL, copy: Path, mark: str) -> str | None:
    aside = f"{_ASIDE}{mark}"
    with _connected(url) as connection:
        others = connection.execute(
            text(
                "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        ).scalar_one()
        if others:
            raise _in_use()
        schema = str(connection.execute(text("SELECT current_schema()")).scalar_one())
        is_empty = not inspect(connection).get_table_names()
        if not is_empty:
            connection.execute(text(f'ALTER SCHEMA "{schema}" RENAME TO "{aside}"'))
            connection.execute(text(f'CREATE SCHEMA "{schema}"'))
        connection.commit()
    try:
        _run_tool(
            url,
            "pg_restore",
            *("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"),
            str(copy),
        )
    except StoreError:
        if not is_empty:
            with _connected(url) as connection:
                connection.execute(text(f'DROP SCHEMA "{schema}" CASCADE'))
                connection.execute(text(f'ALTER SCHEMA "{aside}" RENAME TO "{schema}"'))
                connection.commit()
        raise
    return None if is_empty else f"schema {aside}"


# ---------------------------------------------------------------- both


@contextmanager
def _connected(url: URL) -> Iterator[Connection]:
    engine: Engine = make_engine(url.render_as_string(hide_password=False))
    try:
        with engine.connect() as connection:
            yield connection
    except exc.DBAPIError as error:
        cause = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        where = url.database or url.host
        raise StoreError(f"database {where}: {cause}; check database_url") from error
    finally:
        engine.dispose()


def _run_tool(url: URL, tool: str, *arguments: str) -> None:
    """Run a PostgreSQL program; the password goes through the environment to stay hidden."""
    program = shutil.which(tool)
    if program is None:
        raise StoreError(f"{tool} is not on this machine: install {_TOOLS}, or later")
    address = url.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, "PGPASSWORD": url.password or os.environ.get("PGPASSWORD", "")}
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL's, no shell
        [program, *arguments, f"--dbname={address}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StoreError(f"{tool} failed: {_first_line(done.stderr)}; it needs {_TOOLS}, or later")


def _first_line(printed: str) -> str:
    # Only the first line: what follows may quote rows.
    lines = [line for line in printed.splitlines() if "error" in line.lower()]
    return (lines or printed.splitlines() or ["no reason given"])[0][:300]
