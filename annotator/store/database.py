"""The project's database: sessions, migrations, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, exc, inspect, text
from sqlalchemy.orm import Session, sessionmaker

from annotator.errors import ConflictError, InputError, StoreError
from annotator.resources import migrations_folder
from db import make_engine, make_sessions

__all__ = ["Database"]

_MIGRATING = 5_461_203_771_948_120_337  # names our lock among those of other programs


class Database:
    """A connection pool with two kinds of transaction. ``close()`` may be called twice."""

    def __init__(self, url: str) -> None:
        try:
            self._engine = make_engine(url)
        except (exc.ArgumentError, exc.NoSuchModuleError, ModuleNotFoundError) as error:
            raise StoreError(
                f"database_url is not usable ({type(error).__name__}); expected sqlite:///FILE or "
                "postgresql://USER:PASSWORD@HOST/NAME (the latter needs annotator[postgres])"
            ) from error
        self._sessions = make_sessions(self._engine)

    @property
    def engine_name(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that sees one state and changes nothing."""
        with self._session(self._sessions.read) as session:
            yield session
            session.rollback()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction; it commits at the end of the block, or not at all."""
        with self._session(self._sessions.write) as session:
            yield session
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

    def upgrade(self) -> None:
        """Bring the tables to this program's version.

        Raises:
            StoreError: if the database is newer than the program, or cannot be reached.
        """
        config = self._alembic()
        scripts = ScriptDirectory.from_config(config)
        known = {s.revision for s in scripts.walk_revisions()}
        try:
            with self._engine.begin() as connection:
                current = _revision(connection)
            if current is not None and current not in known:
                raise StoreError(
                    f"the database is at version {current}, newer than this program knows; "
                    "install the annotator that wrote it, or a later one"
                )
            if current == scripts.get_current_head():
                return
            # One program migrates, the other waits and finds it done.
            with self._engine.execution_options(annotator_writes=True).begin() as connection:
                if (
                    self.engine_name == "postgresql"
                ):  # where writers do not take turns by themselves
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATING})"))
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except exc.DatabaseError as error:  # also a file that is no database
            raise StoreError(self._explain(error)) from error
        except CommandError as error:
            raise StoreError(f"the database could not be upgraded: {error}") from error

    def downgrade(self, revision: str) -> None:
        """Take the tables back to ``revision`` (``base`` removes them)."""
        config = self._alembic()
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.downgrade(config, revision)

    def check_drift(self) -> None:
        """Raise StoreError if the migrations do not make the tables that the code declares."""
        config = self._alembic()
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            try:
                command.check(config)
            except CommandError as error:
                raise StoreError(f"migrations and tables differ: {error}") from error

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()

    def _alembic(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        return config

    def _explain(self, error: exc.DBAPIError) -> str:
        # The driver's words, without the statement and its parameters: they hold document text.
        cause = str(error.orig).strip().splitlines()[0] if error.orig else type(error).__name__
        where = self._engine.url.database or self._engine.url.host or "in memory"
        return f"database {where}: {cause}; {_remedy(cause.lower())}"


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _remedy(cause: str) -> str:
    if "full" in cause or "no space" in cause:
        return "free some disk space; nothing of this transaction was kept, try again"
    if "locked" in cause:
        return "another program holds the database; stop it or try again"
    if "not a database" in cause or "malformed" in cause:
        return "the file is damaged; restore it from a backup"
    if "no such table" in cause or "does not exist" in cause:
        return "run annotator db upgrade"
    if "unable to open" in cause or "readonly" in cause:
        return "check that the folder exists and may be written"
    return "check database_url and that the server runs"
