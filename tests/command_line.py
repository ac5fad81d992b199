"""What the tests of the command line share: how a command ended, and a project's contents."""

from __future__ import annotations

import json
import sqlite3
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
