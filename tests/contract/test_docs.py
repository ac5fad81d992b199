"""The documentation says what the code does: settings, commands, formats, tables, links."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import db
from annotator import __version__
from annotator.active import STRATEGIES
from annotator.cli.main import app
from annotator.formats import READERS, WRITERS
from annotator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")], key=lambda page: str(page)
)


# ---- reading Markdown ----------------------------------------------------------------------


def read_rows(text: str) -> dict[str, list[str]]:
    """Return the table rows of a page whose first cell is code, by what stands in that cell."""
    cells = [
        [cell.strip() for cell in line.strip("|\n ").split(" | ")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]
    return {row[0].strip("`"): row for row in cells}


def read_sections(text: str) -> dict[str, str]:
    """Return what stands below each heading of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def without_code(text: str) -> str:
    """Return the text without blocks and spans of code."""
    return re.sub(r"`[^`]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def read_links() -> list[tuple[str, str]]:
    """Return (page, target) for each relative link and picture of all pages."""
    return [
        (str(page.relative_to(ROOT)), target)
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8")))
        if not target.startswith(("https://", "http://", "mailto:"))
    ]


def read_anchors(page: Path) -> set[str]:
    """Return the anchors that headings make."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def read_shell_lines() -> list[tuple[str, list[str]]]:
    """Return (page, arguments) of each line of shell that calls the program."""
    return [
        (page.stem, shlex.split(line.split(" > ")[0], comments=True))
        for page in PAGES
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), flags=re.M | re.S)
        for line in re.findall(r"^(?:\S*/)?annotator (.+)$", block, flags=re.MULTILINE)
    ]


def read_mentions() -> list[tuple[str, list[str]]]:
    """Return (page, arguments) of each span of code in the prose that names a command."""
    blocks = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
    return [
        (page.stem, words.split())
        for page in PAGES
        for words in sorted(
            set(re.findall(r"`annotator\s+([a-z][^`]*)`", blocks.sub("", page.read_text("utf-8"))))
        )
    ]


# ---- walking the program -------------------------------------------------------------------


def walk(command: Any, path: tuple[str, ...]) -> dict[str, Any]:
    """Return all commands below ``command`` that do something, and the program itself."""
    children = getattr(command, "commands", {})
    found = {} if children and len(path) > 1 else {" ".join(path): command}
    for name, child in children.items():
        found |= walk(child, (*path, name))
    return found


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that the first words name, and the words after it."""
    command, rest = PROGRAM, list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


def shown_default(parameter: Any) -> str:
    """Return an option's default as the reference writes it."""
    if parameter.required:
        return "required"
    if parameter.default is None:
        return "not set"
    return "no" if parameter.default is False else f"`{parameter.default}`"


def shown_setting(field: FieldInfo) -> str:
    """Return a setting's default as the reference writes it."""
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "not set"
    default = field.default
    plain = default.get_secret_value() if isinstance(default, SecretStr) else default
    return f"`{json.dumps(plain)}`"


PROGRAM = typer.main.get_command(app)
Refused: Any = typer.BadParameter.__base__  # what typer raises of words it does not understand
COMMANDS = walk(PROGRAM, ("annotator",))
PARAMETERS = [
    (path, parameter)
    for path, command in COMMANDS.items()
    for parameter in command.params
    if "--help" not in parameter.opts
]
OPTIONS, ARGUMENTS = (
    [(path, parameter) for path, parameter in PARAMETERS if parameter.param_type_name == kind]
    for kind in ("option", "argument")
)
MANIFEST = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DEPENDENCIES = sorted(
    {
        re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]
        for group in (MANIFEST["dependencies"], *MANIFEST["optional-dependencies"].values())
        for line in group
    }
)


@pytest.fixture(scope="module")
def commands_page() -> dict[str, str]:
    return read_sections((DOCS / "reference" / "commands.md").read_text("utf-8"))


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text("utf-8")


# ---- settings ------------------------------------------------------------------------------


def test_the_settings_stand_in_the_reference_with_variable_and_default() -> None:
    rows = read_rows((DOCS / "reference" / "settings.md").read_text("utf-8"))

    told = {name: row[1:3] for name, row in rows.items()}

    assert told == {
        name: [f"`ANNOTATOR_{name.upper()}`", shown_setting(field)]
        for name, field in Settings.model_fields.items()
    }


@pytest.mark.parametrize("page", ["reference/settings.md", "explanation/active_learning.md"])
def test_the_strategies_are_documented(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")

    assert [name for name in STRATEGIES if f"`{name}`" not in text] == []


# ---- commands ------------------------------------------------------------------------------


def test_the_reference_has_a_heading_for_each_command_and_no_other(
    commands_page: dict[str, str],
) -> None:
    assert list(commands_page) == list(COMMANDS)


def test_the_options_stand_in_the_reference_with_their_defaults(
    commands_page: dict[str, str],
) -> None:
    rows = {path: read_rows(commands_page[path]) for path in COMMANDS}

    assert len(OPTIONS) > 100
    assert [
        (path, option.name)
        for path, option in OPTIONS
        if rows[path].get(option.opts[0], ["", ""])[1] != shown_default(option)
    ] == []


def test_the_arguments_stand_in_the_reference(commands_page: dict[str, str]) -> None:
    assert [
        (path, argument.name)
        for path, argument in ARGUMENTS
        if (argument.metavar or argument.name).upper() not in read_rows(commands_page[path])
    ] == []


def test_the_reference_names_no_option_that_is_not_there(commands_page: dict[str, str]) -> None:
    known = {
        path: {name for parameter in command.params for name in parameter.opts}
        for path, command in COMMANDS.items()
    }

    assert [
        (path, name)
        for path in COMMANDS
        for name in read_rows(commands_page[path])
        if name.startswith("-") and name not in known[path]
    ] == []


def test_each_command_has_an_example_in_its_help_and_in_the_reference(
    commands_page: dict[str, str],
) -> None:
    paths = [path for path in COMMANDS if path != "annotator"]

    assert [path for path in paths if f"Example: {path}" not in COMMANDS[path].help] == []
    assert [path for path in paths if f"```sh\n{path}" not in commands_page[path]] == []


def is_understood(words: list[str]) -> bool:
    """Tell whether the program takes these words; what it refuses is printed."""
    command, rest = find_command(words)
    try:
        return bool(command.make_context(words[0], rest).params)
    except Refused as refused:
        print(refused)
        return False


def test_the_command_lines_in_the_documentation_are_understood() -> None:
    lines = read_shell_lines()

    assert len(lines) > 100
    assert [(page, words) for page, words in lines if not is_understood(words)] == []


def test_the_commands_named_in_the_prose_are_there() -> None:
    missing = []
    for page, words in read_mentions():
        command, rest = find_command(words)
        known = {name for parameter in command.params for name in parameter.opts}
        if not {word for word in rest if word.startswith("-")} <= known:
            missing.append((page, words))

    assert missing == []


# ---- formats, database, dependencies -------------------------------------------------------


def test_the_formats_stand_in_the_reference_with_what_they_can() -> None:
    text = (DOCS / "reference" / "formats.md").read_text("utf-8")
    names = {*READERS, *WRITERS}
    can = {True: "yes", False: "no"}

    rows = read_rows(text.split("\n## ")[0])

    assert {name: row[1:3] for name, row in rows.items() if name in names} == {
        name: [can[name in READERS], can[name in WRITERS]] for name in names
    }
    assert names <= set(read_sections(text))


def test_the_tables_stand_in_the_reference_with_their_columns() -> None:
    rows = read_rows((DOCS / "reference" / "database.md").read_text("utf-8"))
    tables = db.Base.metadata.tables

    assert set(rows) == set(tables)
    assert [
        (name, column.name)
        for name, table in tables.items()
        for column in table.columns
        if column.name not in re.findall(r"`(\w+)`", rows[name][2])
    ] == []


def test_the_dependencies_are_accounted_for() -> None:
    rows = read_rows((DOCS / "explanation" / "dependencies.md").read_text("utf-8"))

    assert set(rows) == set(DEPENDENCIES)
    assert [name for name, row in rows.items() if len([cell for cell in row if cell]) != 5] == []


# ---- the pages themselves ------------------------------------------------------------------


def leads_somewhere(page: str, target: str) -> bool:
    """Tell whether the file and the heading that a link names are there."""
    path, _, anchor = target.partition("#")
    found = (ROOT / page).parent / path if path else ROOT / page
    return found.exists() and (not anchor or anchor in read_anchors(found))


def test_the_relative_links_lead_somewhere() -> None:
    links = read_links()

    assert len(links) > 50
    assert [link for link in links if not leads_somewhere(*link)] == []


def test_the_pages_are_reached_from_the_readme(readme: str) -> None:
    pages = [page.relative_to(ROOT).as_posix() for page in DOCS.rglob("*.md")]

    assert [page for page in pages if f"({page})" not in readme] == []


def test_the_readme_has_its_sections_in_their_order(readme: str) -> None:
    assert list(read_sections(readme)) == [
        "Quick start",
        "How it works",
        "What it does not do",
        "Measured",
        "Documentation",
        "Licence",
    ]


def test_the_readme_names_make_targets_that_are_there(readme: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z0-9]+):", makefile, flags=re.MULTILINE))

    named = set(re.findall(r"(?:^|`|time )make ([a-z0-9]+)", readme, flags=re.MULTILINE))

    assert {"install", "demo", "test", "check", "full"} <= named <= targets


def test_the_changelog_names_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_changelog_names_the_migrations() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    numbers = [path.stem.split("_")[0] for path in (ROOT / "migrations" / "versions").glob("*.py")]

    assert [number for number in numbers if f"`{number}`" not in changelog] == []


def test_the_licence_is_the_whole_of_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")

    assert MANIFEST["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
