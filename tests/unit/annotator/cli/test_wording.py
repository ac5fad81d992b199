"""How the program speaks: the help fits, errors have one style, and long work is never silent."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from annotator.cli import main as program
from annotator.cli import progress
from annotator.cli.commands import COMMANDS
from annotator.cli.progress import progress_bar
from annotator.resources import install_command


def test_the_help_lists_all_commands_in_their_groups_on_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run(monkeypatch, "--help")

    lines = capsys.readouterr().out.splitlines()

    for name, command in COMMANDS.items():
        assert f"  {name.ljust(11)} {command.help}" in lines
        assert f"{command.group}:" in lines
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nonsense",), "No such command 'nonsense'; see annotator --help"),
        (("runs", "cancel"), "Missing argument 'RUN'; see annotator runs cancel --help"),
        (("status", "--xyz"), "No such option: --xyz; see annotator status --help"),
    ],
    ids=["command", "argument", "option"],
)
def test_wrong_use_is_told_in_one_line_like_every_error(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, *words)

    assert ended.value.code == 2
    assert capsys.readouterr().err == f"annotator: error: {message}\n"


def test_long_work_prints_a_line_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0.02)

    with progress_bar("push") as advance:
        time.sleep(0.1)
        advance(3, 9, "predict")
        time.sleep(0.1)

    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "push (after 0:00:00)"
    assert lines[-1] == "push: 3 of 9, predict (after 0:00:00)"


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["annotator", *words])
    monkeypatch.setattr(program.os, "umask", lambda _mask: 0)
    monkeypatch.setattr(program, "configure_logs", lambda **_options: None)
    program.main()


def test_no_page_and_no_message_installs_another_project_of_the_same_name(
    repository: Path,
) -> None:
    said = [
        str(path.relative_to(repository))
        for folder in ("annotator", "ml_backend", "db", "docs")
        for path in (repository / folder).rglob("*")
        if path.suffix in (".py", ".md", ".yml")
        and re.search(
            r"pip install\W+annotator\W*(\[[a-z,]+\])?['\"`]*\s*$", path.read_text("utf-8"), re.M
        )
    ]

    assert said == []
    assert install_command("views").startswith("pip install -e '/")
