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


def read_shell_lines() -> list[Any]:
    """Return the arguments of each line of shell that calls the program."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), flags=re.M | re.S):
            for line in re.findall(r"^(?:\S*/)?annotator (.+)$", block, flags=re.MULTILINE):
                words = shlex.split(line.split(" > ")[0], comments=True)
                name = f"{page.stem}: {' '.join(words)}"
                found.append(pytest.param(words, id=name))
    return found


def read_mentions() -> list[Any]:
    """Return the arguments of each span of code in the prose that names a command."""
    blocks = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
    return [
        pytest.param(words.split(), id=f"{page.stem}: {' '.join(words.split())}")
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
COMMANDS = walk(PROGRAM, ("annotator",))
PARAMETERS = [
    (path, parameter)
    for path, command in COMMANDS.items()
    for parameter in command.params
    if "--help" not in parameter.opts
]
OPTIONS, ARGUMENTS = (
    [
        pytest.param(path, parameter, id=f"{path} {parameter.name}")
        for path, parameter in PARAMETERS
        if parameter.param_type_name == kind
    ]
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


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_stands_in_the_reference_with_variable_and_default(name: str) -> None:
    row = read_rows((DOCS / "reference" / "settings.md").read_text("utf-8"))[name]

    assert row[1:3] == [f"`ANNOTATOR_{name.upper()}`", shown_setting(Settings.model_fields[name])]


def test_the_reference_names_no_setting_that_is_not_there() -> None:
    rows = read_rows((DOCS / "reference" / "settings.md").read_text("utf-8"))

    assert set(rows) == set(Settings.model_fields)


@pytest.mark.parametrize("page", ["reference/settings.md", "explanation/active_learning.md"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_is_documented(name: str, page: str) -> None:
    assert f"`{name}`" in (DOCS / page).read_text("utf-8")


# ---- commands ------------------------------------------------------------------------------


def test_the_reference_has_a_heading_for_each_command_and_no_other(
    commands_page: dict[str, str],
) -> None:
    assert list(commands_page) == list(COMMANDS)


@pytest.mark.parametrize(("path", "option"), OPTIONS)
def test_an_option_stands_in_the_reference_with_its_default(
    commands_page: dict[str, str], path: str, option: Any
) -> None:
    row = read_rows(commands_page[path])[option.opts[0]]

    assert row[1] == shown_default(option)


@pytest.mark.parametrize(("path", "argument"), ARGUMENTS)
def test_an_argument_stands_in_the_reference(
    commands_page: dict[str, str], path: str, argument: Any
) -> None:
    assert (argument.metavar or argument.name).upper() in read_rows(commands_page[path])


@pytest.mark.parametrize("path", COMMANDS)
def test_the_reference_names_no_option_that_is_not_there(
    commands_page: dict[str, str], path: str
) -> None:
    options = {name for parameter in COMMANDS[path].params for name in parameter.opts}

    shown = {name for name in read_rows(commands_page[path]) if name.startswith("-")}

    assert shown <= options


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != "annotator"])
def test_the_help_of_a_command_has_an_example(path: str) -> None:
    assert f"Example: {path}" in COMMANDS[path].help


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != "annotator"])
def test_the_reference_of_a_command_has_an_example(
    commands_page: dict[str, str], path: str
) -> None:
    assert f"```sh\n{path}" in commands_page[path]


@pytest.mark.parametrize("words", read_shell_lines())
def test_a_command_line_in_the_documentation_is_understood(words: list[str]) -> None:
    command, rest = find_command(words)

    context = command.make_context(words[0], rest)

    assert context.params


@pytest.mark.parametrize("words", read_mentions())
def test_a_command_named_in_the_prose_is_there(words: list[str]) -> None:
    command, rest = find_command(words)

    named = {word for word in rest if word.startswith("-")}

    assert named <= {name for parameter in command.params for name in parameter.opts}


# ---- formats, database, dependencies -------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*READERS, *WRITERS}))
def test_a_format_stands_in_the_reference_with_what_it_can(name: str) -> None:
    text = (DOCS / "reference" / "formats.md").read_text("utf-8")
    can = {True: "yes", False: "no"}

    row = read_rows(text.split("\n## ")[0])[name]

    assert row[1:3] == [can[name in READERS], can[name in WRITERS]]
    assert name in read_sections(text)


@pytest.mark.parametrize("table", db.Base.metadata.tables.values(), ids=lambda table: table.name)
def test_a_table_stands_in_the_reference_with_its_columns(table: Any) -> None:
    row = read_rows((DOCS / "reference" / "database.md").read_text("utf-8"))[table.name]

    assert {column.name for column in table.columns} <= set(re.findall(r"`(\w+)`", row[2]))


def test_the_reference_names_no_table_that_is_not_there() -> None:
    rows = read_rows((DOCS / "reference" / "database.md").read_text("utf-8"))

    assert set(rows) == set(db.Base.metadata.tables)


@pytest.mark.parametrize("name", DEPENDENCIES)
def test_a_dependency_is_accounted_for(name: str) -> None:
    row = read_rows((DOCS / "explanation" / "dependencies.md").read_text("utf-8"))[name]

    assert len([cell for cell in row if cell]) == 5


def test_no_dependency_is_accounted_for_that_is_not_there() -> None:
    rows = read_rows((DOCS / "explanation" / "dependencies.md").read_text("utf-8"))

    assert set(rows) == set(DEPENDENCIES)


# ---- the pages themselves ------------------------------------------------------------------


@pytest.mark.parametrize(("page", "target"), read_links())
def test_a_relative_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = target.partition("#")

    found = (ROOT / page).parent / path if path else ROOT / page

    assert found.exists()
    assert not anchor or anchor in read_anchors(found)


@pytest.mark.parametrize(
    "page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS))
)
def test_a_page_is_reached_from_the_readme(readme: str, page: Path) -> None:
    assert f"({page.relative_to(ROOT).as_posix()})" in readme


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

    assert {"install", "demo", "test", "check", "e2e"} <= named <= targets


def test_the_changelog_names_this_version() -> None:
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize(
    "migration", sorted((ROOT / "migrations" / "versions").glob("*.py")), ids=lambda path: path.stem
)
def test_the_changelog_names_a_migration(migration: Path) -> None:
    number = migration.stem.split("_")[0]

    assert f"`{number}`" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_licence_is_the_whole_of_the_one_that_is_declared() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")

    assert MANIFEST["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
