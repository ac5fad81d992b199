"""What commands write holds clinical text: nobody but its owner may read it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from command_line import GOLD, Run, write_lines

pytestmark = pytest.mark.slow


def others_may(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode) & 0o077


def test_what_commands_write_is_their_users_alone(annotator: Run, tmp_path: Path) -> None:
    given = write_lines(tmp_path / "gold.jsonl", GOLD)
    world = tmp_path / "world"
    world.mkdir(mode=0o755)
    home = world / "ward"
    home.mkdir(mode=0o755)  # made by its user beforehand

    for command in (
        ("init", "--home", home),
        ("import", "jsonl", given, "--as", "gold", "--holdout-share", 0, "--home", home),
        ("retrain", "--home", home),
        ("export", "--format", "jsonl", "--out", world / "out", "--home", home),
        ("db", "backup", world / "ward.tar", "--home", home),
        ("db", "restore", world / "ward.tar", "--home", world / "again"),
    ):
        done = annotator(*command)
        assert done.code == 0, done.err

    open_to_others = {path for path in world.rglob("*") if others_may(path)}
    assert open_to_others == {home}
    assert {"annotator.db", "queue.db", "ward.tar", "gold.jsonl"} <= {
        path.name for path in world.rglob("*")
    }
