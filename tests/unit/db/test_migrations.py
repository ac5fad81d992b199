from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Table, insert, inspect, select, text

from annotator.errors import StoreError
from annotator.resources import migrations_folder
from annotator.store.database import Database, _revisions
from db import Base

SPECIAL = {
    "project.unit": "sentence",
    "document.split": "train",
    "task.state": "open",
    "webhook_event.state": "new",
    "annotation.state": "submitted",
    "annotation.source": "import",
    "training_run.state": "queued",
    "model_version.state": "active",
}
PLAIN: dict[type, Any] = {
    str: "x",
    int: 1,
    float: 0.5,
    bool: True,
    bytes: b"x",
    datetime: datetime(2026, 1, 1, tzinfo=UTC),
    object: {"a": 1},
}


def make_row(table: Table) -> dict[str, Any]:
    return {column.name: make_value(table, column) for column in table.columns}


def make_value(table: Table, column: Column[Any]) -> Any:
    return SPECIAL.get(f"{table.name}.{column.name}", PLAIN[kind_of(column)])


def kind_of(column: Column[Any]) -> type:
    impl = getattr(column.type, "impl_instance", column.type)
    return impl.python_type


def fill(database: Database) -> None:
    with database.write() as session:
        for table in Base.metadata.sorted_tables:
            session.execute(insert(table), [make_row(table)])


def count_rows(database: Database) -> int:
    with database.read() as session:
        tables = Base.metadata.sorted_tables
        return sum(len(session.execute(select(table)).all()) for table in tables)


def table_names(database: Database) -> set[str]:
    with database.read() as session:
        return set(inspect(session.connection()).get_table_names())


def test_tables_with_rows_go_down_and_come_up_again(database: Database) -> None:
    fill(database)
    assert count_rows(database) == len(Base.metadata.sorted_tables)

    database.downgrade("base")
    assert table_names(database) == {"alembic_version"}
    database.upgrade()

    assert table_names(database) == {"alembic_version", *Base.metadata.tables}
    assert count_rows(database) == 0


def test_migrations_make_the_tables_that_the_code_declares(database: Database) -> None:
    database.check_drift()


def test_a_missing_column_is_drift(database: Database) -> None:
    with database.write() as session:
        session.execute(text("ALTER TABLE label_schema DROP COLUMN config_xml"))

    with pytest.raises(StoreError, match="migrations and tables differ"):
        database.check_drift()
    with database.write() as session:
        session.execute(text("ALTER TABLE label_schema ADD COLUMN config_xml TEXT"))


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    fill(database)

    database.upgrade()

    assert count_rows(database) == len(Base.metadata.sorted_tables)


def test_programs_that_start_together_migrate_once(database: Database, database_url: str) -> None:
    database.downgrade("base")
    opened = [Database(database_url) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Database.upgrade, opened))

    assert table_names(opened[0]) == {"alembic_version", *Base.metadata.tables}
    [database.close() for database in opened]


def test_a_database_of_a_newer_program_is_refused_untouched(database: Database) -> None:
    with database.write() as session:
        old = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match=rf"migration 9999, .* up to {old}: a newer annotator"):
        database.upgrade()

    with database.write() as session:
        statement = text("UPDATE alembic_version SET version_num = :old WHERE version_num = '9999'")
        assert session.execute(statement, {"old": old}).rowcount == 1


def test_the_migrations_are_those_that_alembic_finds() -> None:
    folder = migrations_folder()
    scripts = ScriptDirectory(str(folder))

    head, known = _revisions(folder)

    assert head == scripts.get_current_head()
    assert known == {script.revision for script in scripts.walk_revisions()}


def test_migrations_are_found_in_a_folder_with_a_percent_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    folder = tmp_path / "100%s"
    folder.symlink_to(repository / "migrations")
    monkeypatch.setattr("annotator.store.database.migrations_folder", lambda: folder)
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")

    database.upgrade()

    assert "project" in table_names(database)
    database.close()
