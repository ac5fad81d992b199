"""A database that a newer program has upgraded: every program says so in one line and ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from command_line import Run, dump

from annotator.resources import migrations_folder

pytestmark = pytest.mark.slow

HEAD = ScriptDirectory(str(migrations_folder())).get_current_head()

COMMANDS = [
    ("db", "upgrade"),
    ("doctor",),
    ("export", "--format", "jsonl", "--out", "gold"),
    ("models",),
    ("next",),
    ("push",),
    ("retrain",),
    ("rollback",),
    ("runs", "list"),
    ("serve", "--port", "1"),
    ("status", "--json"),
    ("sync",),
    ("worker", "--device", "cpu"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_every_program_names_both_migrations_and_changes_nothing(
    annotator: Run, home: Path, command: tuple[str, ...]
) -> None:
    with sqlite3.connect(home / "annotator.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = dump(home)

    error = annotator(*command, "--home", home).error

    assert f"the database is at migration 9999, this program knows those up to {HEAD}" in error
    assert "install that version or a later one" in error
    assert dump(home) == before


def test_init_does_not_touch_it_either(annotator: Run, home: Path) -> None:
    with sqlite3.connect(home / "annotator.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    assert "migration 9999" in annotator("init", "--home", home).error
