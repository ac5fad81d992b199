"""The project's database: sessions, migrations, and errors that say what to do."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, exc, inspect, text
from sqlalchemy.orm import Session, sessionmaker

from annotator.errors import ConflictError, InputError, NewerDatabaseError, StoreError
from annotator.resources import migrations_folder
from db import make_engine, make_sessions

if TYPE_CHECKING:  # not imported for a database that needs no migration
    from alembic.config import Config

__all__ = ["Database", "check_known"]

_MIGRATING = 5_461_203_771_948_120_337  # identifies our lock among those of other programs

_REVISION = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)


class Database:
    """A connection pool with two kinds of transaction. ``close()`` may be called twice.

    A transaction fails with a StoreError if another program holds a lock for longer than
    ``lock_wait_s``, if given.
    """

    def __init__(self, url: str, *, lock_wait_s: float | None = None) -> None:
        try:
            self._engine = make_engine(url, lock_wait_s=lock_wait_s)
        except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise StoreError(
                f"database_url is not usable ({type(error).__name__}); expected sqlite:///FILE or "
                "postgresql://USER:PASSWORD@HOST/NAME (the latter needs annotator[postgres])"
            ) from error
        self._sessions = make_sessions(self._engine)
        self._check: Callable[[Session], None] | None = None

    def guarded(self, check: Callable[[Session], None]) -> Database:
        """Return this database such that each write calls ``check`` just before its commit.

        What ``check`` raises undoes the transaction: who has lost a lease writes nothing.
        """
        other = copy.copy(self)
        other._check = check
        return other

    @property
    def engine_name(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that sees one snapshot and changes nothing."""
        with self._session(self._sessions.read) as session:
            yield session
            session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that commits at the end of the block, or not at all."""
        with self._session(self._sessions.write) as session:
            yield session
            if self._check is not None:
                session.flush()
                self._check(session)
            session.commit()

    @contextmanager
    def _session(self, make: sessionmaker[Session]) -> Iterator[Session]:
        session = make()
        try:
            yield session
        except (exc.OperationalError, exc.InternalError, exc.InterfaceError) as error:
            session.rollback()
            raise StoreError(self._explain(error)) from error
        except exc.IntegrityError as error:
            session.rollback()
            raise ConflictError(
                "database: a row breaks a rule of its table; another program wrote it first, or "
                "it names something that is not there; try again"
            ) from error
        except (exc.DataError, UnicodeEncodeError) as error:
            session.rollback()
            raise InputError(
                "database: a value cannot be stored: a text holds half of a surrogate pair or a "
                "NUL character, or a name is too long; correct it where it came from"
            ) from error
        except BaseException:
            session.rollback()
            raise
        finally:
            session.close()

    def upgrade(self, revision: str = "head") -> None:
        """Migrate the tables to this program's version, or to an earlier ``revision``.

        Raises:
            NewerDatabaseError: if the database is newer than the program.
            StoreError: if it cannot be reached or upgraded.
        """
        head, _ = _revisions(migrations_folder())
        try:
            if self._checked_revision() != (head if revision == "head" else revision):
                self._upgrade(revision)
        except exc.DatabaseError as error:  # also if the file is not a database
            raise StoreError(self._explain(error)) from error

    def _upgrade(self, revision: str) -> None:
        from alembic import command
        from alembic.util.exc import CommandError

        config = _alembic()
        try:
            with self._migrating() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
        except CommandError as error:
            raise StoreError(f"the database could not be upgraded: {error}") from error

    def check_revision(self) -> None:
        """Check that this program still knows the database, as long-running programs must.

        Raises:
            NewerDatabaseError: if a newer program has upgraded it meanwhile.
            StoreError: if it cannot be reached.
        """
        try:
            self._checked_revision()
        except exc.DatabaseError as error:
            raise StoreError(self._explain(error)) from error

    def _checked_revision(self) -> str | None:
        with self._engine.begin() as connection:
            current = _revision(connection)
        check_known(current)
        return current

    @contextmanager
    def _migrating(self) -> Iterator[Connection]:
        """Open a transaction in which one program migrates, while others wait and find it done.

        On SQLite a table is changed by recreating it. Foreign keys would prevent dropping a table
        that others refer to, so they are off meanwhile, and all are checked before the commit.
        """
        is_sqlite = self.engine_name == "sqlite"
        with self._engine.execution_options(annotator_writes=True).connect() as connection:
            if is_sqlite:
                _set_foreign_keys(connection, "OFF")
            try:
                with connection.begin():
                    if not is_sqlite:  # PostgreSQL does not serialise writers by itself
                        connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
                    yield connection
                    if is_sqlite:
                        _check_foreign_keys(connection)
            finally:
                if is_sqlite:
                    _set_foreign_keys(connection, "ON")

    def downgrade(self, revision: str) -> None:
        """Migrate the tables back to ``revision`` (``base`` removes them)."""
        from alembic import command

        config = _alembic()
        with self._migrating() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, revision)

    def check_drift(self) -> None:
        """Raise StoreError if the migrations do not yield the tables that the code declares."""
        from alembic import command
        from alembic.util.exc import CommandError

        config = _alembic()
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            try:
                command.check(config)
            except CommandError as error:
                raise StoreError(f"migrations and tables differ: {error}") from error

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _explain(self, error: exc.DBAPIError) -> str:
        # The driver's message without the statement and its parameters, which hold document text.
        cause = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        where = self._engine.url.database or self._engine.url.host or "in memory"
        return f"database {where}: {cause}; {_remedy(cause.lower())}"


def check_known(migration: str | None) -> None:
    """Raise NewerDatabaseError if this program does not know a migration."""
    head, known = _revisions(migrations_folder())
    if migration is not None and migration not in known:
        raise NewerDatabaseError(
            f"the database is at migration {migration}, this program knows those up to {head}: "
            "a newer annotator has upgraded it; install that version or a later one, or go back "
            "to the backup made before the upgrade (annotator db restore FILE)"
        )


def _alembic() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _revisions(folder: Path) -> tuple[str | None, frozenset[str]]:
    """Return the newest migration in the folder, and all of them, from the files' contents."""
    known: set[str] = set()
    replaced: set[str] = set()
    for file in (folder / "versions").glob("*.py"):
        for before, revision in _REVISION.findall(file.read_text("utf-8")):
            (replaced if before else known).add(revision)
    return max(known - replaced, default=None), frozenset(known)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _set_foreign_keys(connection: Connection, state: str) -> None:
    # Bypasses SQLAlchemy, which would begin a transaction, in which the pragma does nothing.
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA foreign_keys={state}")
    cursor.close()


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise StoreError(
            f"the migration would leave a row of {broken[0]} that points to no row of {broken[2]}; "
            "nothing was changed, please report it"
        )


def _remedy(cause: str) -> str:
    if "full" in cause or "no space" in cause:
        return "free some disk space; nothing of this transaction was kept, try again"
    if "locked" in cause or "lock timeout" in cause:
        return "another program holds the database; stop it or try again"
    if "not a database" in cause or "malformed" in cause:
        return "the file is damaged; restore it from a backup"
    if "no such table" in cause or "does not exist" in cause:
        return "run annotator db upgrade"
    if "unable to open" in cause or "readonly" in cause:
        return "check that the folder exists and may be written"
    return "check database_url and that the server runs"
