"""What the tests of the command line share: how a command ended, and a project's contents."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.store.projects import StudioLink

SECRET_TEXT = "Quillfeather took aspirin and had a rash."
GOLD: dict[str, Any] = {
    "id": "a",
    "text": SECRET_TEXT,
    "entities": [
        {"id": "e1", "type": "Drug", "start": 18, "end": 25},
        {"id": "e2", "type": "Effect", "start": 36, "end": 40},
    ],
    "relations": [{"type": "causes", "head": "e1", "tail": "e2"}],
}
LINK = StudioLink(host="http://127.0.0.1:9", key="5.1795333539", project_id=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a failed command, without its beginning."""
        assert (self.code, self.out) == (1, ""), self
        lines = self.err.splitlines()
        assert len(lines) == 1, lines
        begin = "annotator: error: "
        assert lines[0].startswith(begin)
        assert "Quillfeather" not in lines[0]
        return lines[0].removeprefix(begin)


Run = Callable[..., Outcome]


def write_lines(path: Path, *objects: object) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in objects), encoding="utf-8")
    return path


def dump(home: Path) -> list[str]:
    """Everything that a project's database holds."""
    connection = sqlite3.connect(home / "annotator.db")
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def start_command(name: str, cwd: Path, *words: object) -> subprocess.Popen[str]:
    """Start a command as a user does, in a folder of its own."""
    root = str(Path(__file__).resolve().parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "annotator.cli.main", name, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish_command(process: subprocess.Popen[str], *, timeout_s: float = 200) -> dict[str, Any]:
    """Wait for the JSON that a started command prints."""
    out, err = process.communicate(timeout=timeout_s)
    assert process.returncode == 0, err
    value: dict[str, Any] = json.loads(out)
    return value
