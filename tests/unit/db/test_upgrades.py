"""From every earlier revision to the newest and back, with rows in all tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from revision_rows import Rows, fill_tables, read_tables
from sqlalchemy import Connection, text

from annotator.errors import StoreError
from annotator.resources import migrations_folder
from annotator.store.database import Database
from db import make_engine

pytestmark = pytest.mark.slow

REVISIONS = [s.revision for s in ScriptDirectory(str(migrations_folder())).walk_revisions()][::-1]

# Another turn of the wheel, as it will come: a table that others point to is made anew.
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    with op.batch_alter_table("document") as batch:
        batch.add_column(sa.Column("origin", sa.String(20), nullable=False, server_default="x"))
        batch.alter_column("name", existing_type=sa.String(400), type_=sa.String(500))
{more}

def downgrade() -> None:
    with op.batch_alter_table("document") as batch:
        batch.drop_column("origin")
        batch.alter_column("name", existing_type=sa.String(500), type_=sa.String(400))
"""
LOSES = "    op.execute(\"DELETE FROM document WHERE name LIKE '0 %'\")\n"

Look = Callable[[Callable[[Connection], Rows]], Rows]


@pytest.fixture
def empty(database: Database) -> Iterator[Database]:
    """A database without any tables of ours, and with all of them again for the next test."""
    database.downgrade("base")
    yield database
    database.downgrade("base")


@pytest.fixture
def look(database_url: str) -> Look:
    """Does something with the tables in a transaction of its own."""

    def run(what: Callable[[Connection], Rows]) -> Rows:
        engine = make_engine(database_url)
        with engine.execution_options(annotator_writes=True).begin() as connection:
            found = what(connection)
        engine.dispose()
        return found

    return run


def common(rows: Rows, other: Rows) -> Rows:
    """What of ``rows`` the tables of ``other`` have columns for."""
    return {
        table: [{k: v for k, v in row.items() if k in other[table][0]} for row in found]
        for table, found in rows.items()
        if other.get(table)
    }


@pytest.mark.parametrize("revision", REVISIONS)
def test_rows_of_every_earlier_revision_survive_the_upgrade_and_the_way_back(
    empty: Database, look: Look, revision: str
) -> None:
    empty.upgrade(revision)
    before = look(fill_tables)
    assert len(before) > 20
    assert {len(rows) for rows in before.values()} == {6}

    empty.upgrade()

    after = look(read_tables)
    empty.check_drift()
    assert common(after, before) == common(before, after)
    empty.downgrade(revision)
    assert look(read_tables) == before


@pytest.fixture
def with_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> Callable[[str], None]:
    """Adds a migration that makes a table anew, and does ``more``."""

    def add(more: str) -> None:
        folder = tmp_path / "migrations"
        (folder / "versions").mkdir(parents=True)
        for file in (repository / "migrations").rglob("*.py"):
            (folder / file.relative_to(repository / "migrations")).write_bytes(file.read_bytes())
        code = NEXT.format(head=REVISIONS[-1], more=more)
        (folder / "versions" / "next.py").write_text(code, encoding="utf-8")
        monkeypatch.setattr("annotator.store.database.migrations_folder", lambda: folder)

    return add


def test_a_table_that_others_point_to_is_made_anew_without_losing_a_row(
    empty: Database, look: Look, with_next: Callable[[str], None]
) -> None:
    empty.upgrade()
    before = look(fill_tables)
    with_next("")

    empty.upgrade()

    after = look(read_tables)
    assert {row["origin"] for row in after["document"]} == {"x"}
    assert common(after, before) == before
    with empty.read() as session:
        is_sqlite = empty.engine_name == "sqlite"
        assert not is_sqlite or session.execute(text("PRAGMA foreign_keys")).scalar_one() == 1
    empty.downgrade(REVISIONS[-1])
    assert look(read_tables) == before


def test_a_migration_that_would_leave_rows_pointing_nowhere_changes_nothing(
    empty: Database, look: Look, with_next: Callable[[str], None]
) -> None:
    empty.upgrade()
    before = look(fill_tables)
    with_next(LOSES)

    with pytest.raises(StoreError, match=r"points to no row of document|foreign key"):
        empty.upgrade()

    assert look(read_tables) == before
    empty.upgrade(REVISIONS[-1])
