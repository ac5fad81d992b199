"""What the commands say and do where another Label Studio answers in the place of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from command_line import Run, dump
from faults.served_studio import ServedStudio

from annotator.settings import load_settings, write_secrets
from annotator.store.database import Database
from annotator.store.projects import get_project, link_studio

TOKEN = "c0ffee" * 6 + "c0fe"


@pytest.fixture
def served() -> Iterator[ServedStudio]:
    """A Label Studio behind HTTP."""
    studio = ServedStudio(Random(1))  # noqa: S311 - nothing secret
    yield studio
    studio.close()


@pytest.fixture
def connected(home: Path, served: ServedStudio) -> Path:
    """A project with a gold document, connected to ``served``."""
    settings = load_settings(home)
    write_secrets(home, {"studio_url": served.link.host, "studio_token": TOKEN})
    database = Database(settings.database)
    with database.write() as session:
        link_studio(session, get_project(session, settings.project).id, served.link)
    database.close()
    return home


def test_one_message_stops_every_command_and_names_those_that_decide(
    annotator: Run, connected: Path, served: ServedStudio
) -> None:
    served.studio.add_task(text="A note to label.")
    assert annotator("sync", "--home", connected).code == 0
    served.studio.key = "1.1700000000"
    rows = [line for line in dump(connected) if '"origin"' not in line]
    n_imports = len(served.studio.imports)

    told = {annotator(name, "--home", connected).error for name in ("sync", "push")}
    doctor = json.loads(annotator("doctor", "--json", "--home", connected).out)

    message = told.pop()
    assert not told
    assert "--same" in message
    assert "--other" in message
    assert annotator("status", "--home", connected).out.count(message) == 1
    assert message in [one["message"] for one in doctor["findings"] if one["state"] == "bad"]
    assert [line for line in dump(connected) if '"origin"' not in line] == rows
    assert len(served.studio.imports) == n_imports
    assert not served.unknown  # nothing else was asked


def test_connect_asks_for_a_decision_before_it_stores_anything(
    annotator: Run, connected: Path, served: ServedStudio
) -> None:
    served.studio.key = "1.1700000000"
    before = (connected / "secrets.toml").read_bytes()
    where = (served.link.host, "--token", TOKEN, "--project", 1, "--backend-url", "http://b:1")

    asked = annotator("connect", *where, "--home", connected)

    assert "--other" in asked.error
    assert (connected / "secrets.toml").read_bytes() == before


def test_disconnect_forgets_a_replaced_label_studio_without_touching_it(
    annotator: Run, connected: Path, served: ServedStudio
) -> None:
    served.studio.key = "1.1700000000"

    done = annotator("disconnect", "--json", "--home", connected)

    assert json.loads(done.out) == {"removed": False}
    assert not served.unknown
    assert "not connected" in annotator("status", "--home", connected).out
