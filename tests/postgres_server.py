"""A PostgreSQL server of the tests' own, in a temporary folder, reached by a socket only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services_here import missing

__all__ = ["running_postgres"]

_PLACES = ("/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt")
_USER = "annotator"
# The rows of a test need not survive a power cut.
_OPTIONS = "-c listen_addresses='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off"


@contextmanager
def running_postgres() -> Iterator[str]:
    """Start a server on an empty database, yield its URL, and stop it whatever happens.

    It listens on no port. PostgreSQL refuses to run as root; there the user ``postgres``, whom
    its packages make, runs it.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="annotator-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        data = folder / "data"
        _run(programs / "initdb", "-D", data, "-U", _USER, "-A", "trust", "-E", "UTF8", "-N")
        control = (programs / "pg_ctl", "-D", data, "-w", "-s", "-l", folder / "log")
        _run(*control, "-o", f"{_OPTIONS} -k {folder}", "start")
        try:
            yield f"postgresql://{_USER}@/postgres?host={folder}"
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of ``initdb``: the one on the path, or the newest in a usual place."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).parent
    found = [file for place in _PLACES for file in Path(place).glob("*/bin/initdb")]
    if not found:
        missing("PostgreSQL's initdb is not on this machine")
    return max(found, key=lambda file: _version(file.parent)).parent


def _version(folder: Path) -> tuple[int, ...]:
    words = subprocess.check_output([folder / "initdb", "--version"], text=True).split()
    number = next(word for word in words if word[0].isdigit())
    return tuple(int(part) for part in number.split(".") if part.isdigit())


def _run(*command: str | Path) -> None:
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    clock = ("LD_PRELOAD", "ANNOTATOR_TEST_CLOCK")  # of a story: it jumps for the server too
    kept = {name: os.environ[name] for name in clock if name in os.environ}
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", **kept}
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
        cwd="/",
        **owner,  # type: ignore[call-overload]
    )
