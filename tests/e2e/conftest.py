"""A real Label Studio, a real browser, and a project that a user's commands have made."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from loop_world import SETTINGS, Loop
from playwright.sync_api import Browser, sync_playwright
from services_here import missing

from annotator.resources import sample_file
from annotator.studio.processes import free_port
from annotator.studio.server import RunningStudio, StudioServer

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ROLES = {"gold": slice(0, 44), "holdout": slice(44, 54), "pool": slice(54, 64)}


@pytest.fixture(scope="session")
def artifacts(repository: Path) -> Path:
    """The folder of screenshots."""
    folder = Path(os.environ.get("ANNOTATOR_ARTIFACTS") or repository / "ci-artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def studio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudioServer]:
    """A Label Studio of the tests' own, installed if no environment that has it is named."""
    venv = os.environ.get("ANNOTATOR_TEST_STUDIO_VENV")
    folder = tmp_path_factory.mktemp("label-studio")
    server = StudioServer(folder, port=free_port("127.0.0.1"), venv=Path(venv) if venv else None)
    server.install()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def studio(studio_server: StudioServer) -> RunningStudio:
    """The same, running."""
    return studio_server.start()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The bundled notes, dealt out into files by role."""
    lines = sample_file().read_text(encoding="utf-8").splitlines(keepends=True)
    folder = tmp_path_factory.mktemp("corpus")
    files = {role: folder / f"{role}.jsonl" for role in ROLES}
    for role, file in files.items():
        file.write_text("".join(lines[ROLES[role]]), encoding="utf-8")
    return files


@pytest.fixture(scope="session")
def loop(
    tmp_path_factory: pytest.TempPathFactory, studio: RunningStudio, corpus: dict[str, Path]
) -> Iterator[Loop]:
    """A trained project with its tasks and predictions in Label Studio; everything runs."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    loop = Loop(home=tmp_path_factory.mktemp("loop") / "ward", studio=studio, port=port)
    try:
        set_up(loop, corpus)
        yield loop
    finally:
        loop.close()


def set_up(loop: Loop, corpus: dict[str, Path]) -> None:
    """Do what the quick start tells."""
    loop.command("init", "--home", loop.home, "--name", "ward", "--encoder", "minilm")
    with (loop.home / "annotator.toml").open("a", encoding="utf-8") as settings:
        settings.write(SETTINGS)
    for role, file in corpus.items():
        loop.command("import", "jsonl", file, "--as", role, "--holdout-share", 0)
    trained = loop.command("retrain", "--wait")
    assert trained["promoted"], trained["reasons"]
    loop.start_backend()
    connected = loop.command(
        *("connect", loop.studio.url, "--token", loop.studio.token),
        *("--create", "Ward 7", "--backend-url", loop.url),
    )
    assert connected["event_arrived"]
    loop.number = connected["project"]
    assert loop.command("push")["selected"]
    loop.start_worker()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless."""
    if not CHROMIUM.exists():
        missing("chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, headless=True, args=list(FLAGS)
        )
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def private(loop: Loop, corpus: dict[str, Path]) -> dict[str, str]:
    """What may be in no log: a phrase of each note, the token, the passwords; by what they are."""
    settings = loop.settings
    notes = [
        json.loads(line)
        for file in corpus.values()
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    phrases = {note["id"]: max(re.findall(r"[A-Za-z ,]+", note["text"]), key=len) for note in notes}
    return {
        **phrases,
        "token of Label Studio": loop.studio.token,
        "password of Label Studio": loop.studio.password,
        "backend password": settings.backend_password.get_secret_value(),
        "api token": settings.api_token.get_secret_value(),
        "credentials as a header": loop.basic.removeprefix("Basic "),
    }
