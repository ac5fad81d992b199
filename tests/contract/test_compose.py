"""The files of docs/howto/compose agree with each other, with the page and with the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from annotator.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "howto" / "compose"
PAGE = ROOT / "docs" / "howto" / "run-with-docker-compose.md"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def read_calls() -> list[Any]:
    """Return the arguments of each call of the program in a container."""
    joined = PAGE.read_text("utf-8").replace("\\\n", " ")
    calls = re.findall(
        r"^docker compose (?:exec.* annotator|run.*) annotator (.+)$", joined, flags=re.MULTILINE
    )
    return [pytest.param(shlex.split(call), id=" ".join(call.split())) for call in calls]


@pytest.mark.parametrize("name", [name for name in SERVICES if "ports" in SERVICES[name]])
def test_a_port_is_open_on_this_machine_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name]["ports"])


def test_only_the_two_web_servers_have_ports() -> None:
    assert {name for name, one in SERVICES.items() if "ports" in one} == {
        "annotator",
        "label-studio",
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_comes_back_and_is_given_time_to_stop(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["stop_grace_period"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_password_is_never_written_into_the_file(name: str) -> None:
    secret = re.compile("PASSWORD|DATABASE_URL")

    values = [v for key, v in SERVICES[name]["environment"].items() if secret.search(key)]

    assert values
    assert all("${" in value for value in values)


def test_each_variable_stands_in_the_example_and_no_password_with_it() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text("utf-8")))

    lines = (FOLDER / ".env.example").read_text("utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if re.match(r"\w+=", line))

    assert set(given) == asked
    assert not any(value for name, value in given.items() if name.endswith("PASSWORD"))


def test_what_the_dockerfile_copies_is_there_and_is_let_through() -> None:
    copied = [
        source.rstrip("/")
        for line in re.findall(
            r"^COPY (.+)$", (FOLDER / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE
        )
        for source in line.split()[:-1]
    ]
    let_through = re.findall(
        r"^!(.+)$", (FOLDER / "Dockerfile.dockerignore").read_text("utf-8"), flags=re.MULTILINE
    )

    assert sorted(copied) == sorted(let_through)
    assert all((ROOT / source).exists() for source in copied)


@pytest.mark.parametrize(
    "words", [*read_calls(), *(SERVICES[name]["command"] for name in ("annotator", "worker"))]
)
def test_a_call_of_the_program_is_understood(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_STUDIO_TOKEN", "given as the page says")
    command: Any = typer.main.get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]

    assert command.make_context(words[0], rest)


def test_the_address_of_the_page_is_a_name_that_label_studio_takes() -> None:
    named = re.findall(r"--backend-url http://([\w.-]+):", PAGE.read_text("utf-8"))

    assert set(named) == set(SERVICES["annotator"]["networks"]["default"]["aliases"])
    assert all("." in name for name in named)


def test_the_links_of_the_page_lead_to_the_port_that_is_open() -> None:
    named = re.findall(r"--public-url http://([\d.]+:\d+)", PAGE.read_text("utf-8"))

    (port,) = SERVICES["label-studio"]["ports"]
    assert named
    assert all(port.startswith(f"{address}:") for address in named)
