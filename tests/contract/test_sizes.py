"""A file holds one noun and a function one idea: both stay of a size that is read at a glance."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGES = ("annotator", "ml_backend", "db")
MOST_LINES = {"file": 400, "function": 50}


def longer(repository: Path) -> list[str]:
    """Return each file and function that has too many lines, with how many."""
    found = []
    for package in PACKAGES:
        for path in sorted((repository / package).rglob("*.py")):
            text = path.read_text("utf-8")
            place = path.relative_to(repository).as_posix()
            if (n := len(text.splitlines())) > MOST_LINES["file"]:
                found.append(f"{place}: {n} lines")
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    n = (node.end_lineno or 0) - node.lineno + 1
                    if n > MOST_LINES["function"]:
                        found.append(f"{place}: {node.name} has {n} lines")
    return found


def test_no_file_and_no_function_is_too_long(repository: Path) -> None:
    assert longer(repository) == []
