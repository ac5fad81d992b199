"""A real Label Studio, a real browser, and a project that a user's commands have made."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from demo_world import demo_until_invitation, studio_venv
from loop_world import SETTINGS, Loop
from playwright.sync_api import Browser, sync_playwright
from services_here import missing
from studio_people import personal_token

from annotator.resources import sample_file
from annotator.settings import load_settings
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


@pytest.fixture(scope="session")
def artifacts(repository: Path) -> Path:
    """The folder of screenshots."""
    folder = Path(os.environ.get("ANNOTATOR_ARTIFACTS") or repository / "ci-artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder, stopped as soon as it invites people to label: made once a run.

    The processes of a run share it, so it is only copied. It holds a Label Studio whose tables are
    made, and a project with a trained model whose predictions are in that Label Studio.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    home, ready = shared / "demo", shared / "demo-is-ready"
    with (shared / "demo-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            demo_until_invitation(home)
            ready.touch()
    return home


@pytest.fixture(scope="session")
def new_studio(
    demo_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., StudioServer]]:
    """Makes Label Studios, each with a copy of the demo's data in a folder of its own.

    Making the tables takes ten times as long as starting.
    """
    made = list[StudioServer]()

    def make(**variables: str) -> StudioServer:
        folder = tmp_path_factory.mktemp("label-studio")
        shutil.copytree(
            demo_home / "label-studio",
            folder,
            ignore=shutil.ignore_patterns("venv", "server.json"),
            dirs_exist_ok=True,
        )
        port, venv = free_port("127.0.0.1"), studio_venv() or demo_home / "label-studio" / "venv"
        made.append(StudioServer(folder, port=port, venv=venv, variables=variables))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture(scope="session")
def studio_server(new_studio: Callable[..., StudioServer]) -> StudioServer:
    """The Label Studio of this process' tests."""
    return new_studio()


@pytest.fixture(scope="session")
def studio(studio_server: StudioServer) -> RunningStudio:
    """The same, running."""
    return studio_server.start()


@pytest.fixture(scope="session")
def personal(studio: RunningStudio) -> str:
    """The personal access token of its user, who may have one."""
    return personal_token(studio)


@pytest.fixture(scope="session")
def loop(
    demo_home: Path, tmp_path_factory: pytest.TempPathFactory, studio: RunningStudio
) -> Iterator[Loop]:
    """The demo's project beside a Label Studio of its own; backend and worker run."""
    home = tmp_path_factory.mktemp("loop") / "demo"
    shutil.copytree(demo_home, home, ignore=shutil.ignore_patterns("label-studio", "logs"))
    settings = load_settings(home)
    (home / "annotator.toml").write_text(
        f'project = "{settings.project}"\nunit = "{settings.unit}"\nencoder = "minilm"\n{SETTINGS}',
        encoding="utf-8",
    )
    loop = Loop(home=home, studio=studio, port=free_port("127.0.0.1"))
    loop.number = settings.studio_project or 0
    try:
        loop.start_backend()
        connected = loop.command(
            *("connect", studio.url, "--token", studio.token),
            *("--project", loop.number, "--backend-url", loop.url),
        )
        assert connected["event_arrived"]
        loop.start_worker()
        yield loop
    finally:
        loop.close()


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
def private(loop: Loop) -> dict[str, str]:
    """What may be in no log: a phrase of each note, the token, the passwords; by what they are."""
    settings = loop.settings
    notes = [json.loads(line) for line in sample_file().read_text(encoding="utf-8").splitlines()]
    phrases = {note["id"]: max(re.findall(r"[A-Za-z ,]+", note["text"]), key=len) for note in notes}
    return {
        **phrases,
        "token of Label Studio": loop.studio.token,
        "password of Label Studio": loop.studio.password,
        "backend password": settings.backend_password.get_secret_value(),
        "api token": settings.api_token.get_secret_value(),
        "credentials as a header": loop.basic.removeprefix("Basic "),
    }
