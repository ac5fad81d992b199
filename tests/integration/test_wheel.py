"""The wheel, built here and installed into an empty environment, works away from the checkout."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.error
import urllib.request
import venv
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]


def clean_environment() -> dict[str, str]:
    """This process's environment without anything that leads back to the checkout."""
    ours = ("ANNOTATOR_", "PYTHON", "VIRTUAL_ENV")
    return {name: one for name, one in os.environ.items() if not name.startswith(ours)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An environment that has the wheel, and a folder to work in."""

    environment: Path
    folder: Path

    def run(self, program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs in the folder."""
        return subprocess.run(
            [self.environment / "bin" / program, *map(str, arguments)],
            cwd=self.folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def say(self, program: str, *arguments: object) -> str:
        """Run one that must succeed and return what it prints."""
        done = self.run(program, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", out, repository],
        env={**clean_environment(), "PIP_CONSTRAINT": str(repository / "constraints.txt")},
        check=True,
        capture_output=True,
        timeout=600,
    )
    (built,) = out.glob("*.whl")
    return built


def beside(environment: Path, wheel: Path) -> None:
    """Make an environment that has the wheel alone; what it needs is taken from this one."""
    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip_install(environment, "--no-deps", wheel)


def from_nothing(environment: Path, wheel: Path) -> None:
    """Make an environment into which the wheel brings all that it needs."""
    venv.create(environment, with_pip=True, symlinks=True)
    pip_install(environment, "-c", ROOT / "constraints.txt", wheel)


def pip_install(environment: Path, *what: object) -> None:
    """Install into an environment with this one's pip."""
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", environment / "bin" / "python"),
            *("install", "--quiet", "--disable-pip-version-check", *map(str, what)),
        ],
        env=clean_environment(),
        check=True,
        timeout=900,
    )


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(beside, id="beside"),
        pytest.param(from_nothing, id="from_nothing", marks=pytest.mark.nightly),
    ],
)
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """An environment that was empty before the wheel came."""
    made = Installed(
        environment=tmp_path_factory.mktemp("environment") / "venv",
        folder=tmp_path_factory.mktemp("elsewhere"),
    )
    make: Callable[[Path, Path], None] = request.param
    make(made.environment, wheel)
    yield made
    shutil.rmtree(made.environment)  # gigabytes that nobody looks at again


@pytest.fixture(scope="module")
def home(installed: Installed) -> Path:
    """A project that the installed program has made, with the installed sample as gold."""
    folder = installed.folder / "ward"
    installed.say("annotator", "init", "--home", folder)
    return folder


def test_the_wheel_holds_the_packages_their_data_and_the_licence_and_nothing_else(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    tops = {name.split("/")[0] for name in names}
    assert tops == {"annotator", "ml_backend", "db", "annotator-0.1.0.dist-info"}
    assert "annotator/_resources/static/index.html" in names
    assert "annotator/_resources/migrations/env.py" in names
    assert "annotator/sample/notes.jsonl" in names
    assert {"annotator/views/page.css", "annotator/views/page.js"} <= set(names)
    assert "annotator-0.1.0.dist-info/licenses/LICENSE" in names
    assert [name for name in names if name.endswith((".pyc", ".db", ".so"))] == []


def test_the_program_is_the_installed_one_and_shows_its_help(installed: Installed) -> None:
    place = installed.say("python", "-c", "import annotator; print(annotator.__file__)")
    shown = installed.say("annotator", "--help")

    assert Path(place).is_relative_to(installed.environment)
    assert "retrain" in shown
    assert installed.say("annotator", "--version") == "0.1.0"


def test_what_was_installed_fits_together(installed: Installed) -> None:
    assert "No broken requirements" in installed.say("python", "-m", "pip", "check")


def test_the_installed_sample_is_imported_as_gold(installed: Installed, home: Path) -> None:
    script = "from annotator.resources import sample_file; print(sample_file())"
    sample = installed.say("python", "-c", script)

    said = installed.say(
        *("annotator", "import", "jsonl", sample, "--as", "gold", "--home", home, "--json")
    )

    assert Path(sample).is_relative_to(installed.environment)
    assert json.loads(said)["n_documents"] == 74
    assert json.loads(said)["skipped"] == []


def test_the_installed_migrations_are_found(installed: Installed, home: Path) -> None:
    said = installed.say("annotator", "db", "upgrade", "--home", home)

    assert said == "the sqlite database is up to date"


def test_an_error_is_one_line(installed: Installed) -> None:
    done = installed.run("annotator", "status")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("annotator: error: no annotator.toml")


@pytest.fixture
def backend(installed: Installed, home: Path) -> Iterator[str]:
    """The address of a backend that the installed program serves."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    program = installed.environment / "bin" / "annotator"
    with subprocess.Popen(
        [program, "serve", "--port", str(port), "--home", home],
        cwd=installed.folder,
        env=clean_environment(),
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
            process.terminate()
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()


def fetch(address: str, **headers: str) -> str:
    """Return a page, asked for again until the server is up."""
    deadline = time.monotonic() + 120
    while True:
        request = urllib.request.Request(address, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return str(answer.read().decode("utf-8"))
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < deadline, f"{address} does not answer"
            time.sleep(0.2)


def test_the_installed_backend_answers_and_serves_the_dashboard(backend: str, home: Path) -> None:
    secrets: dict[str, Any] = tomllib.loads((home / "secrets.toml").read_text(encoding="utf-8"))
    pair = b64encode(f"annotator:{secrets['backend_password']}".encode()).decode()

    health = json.loads(fetch(f"{backend}/health"))
    page = fetch(f"{backend}/", Authorization=f"Basic {pair}")
    script = fetch(f"{backend}/static/app.js", Authorization=f"Basic {pair}")

    assert health == {"status": "UP"}
    assert "<html" in page
    assert len(script) > 1000
