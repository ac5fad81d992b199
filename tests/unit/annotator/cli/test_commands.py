from __future__ import annotations

import pytest
import typer

from annotator.cli.commands import COMMANDS
from annotator.cli.main import app


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_of_a_command_what_its_own_help_begins_with(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]

    assert command.name == name
    assert command.help.splitlines()[0] == COMMANDS[name].help
    assert command.help.partition("\n\n")[0] == COMMANDS[name].help
