"""``annotator demo`` as a user starts it, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

__all__ = [
    "DEMO_TIMEOUT_S",
    "demo_command",
    "demo_until_invitation",
    "demo_variables",
    "studio_venv",
]

DEMO_TIMEOUT_S = 900


def studio_venv() -> Path | None:
    """The environment that has Label Studio, if one is named; else the demo installs its own."""
    named = os.environ.get("ANNOTATOR_TEST_STUDIO_VENV")
    return Path(named) if named else None


def demo_command(home: Path, *options: str) -> list[str]:
    """The words that start the demo in ``home``."""
    venv = studio_venv()
    given = ("--studio-venv", str(venv)) if venv else ()
    return [
        sys.executable,
        "-m",
        "annotator.cli.main",
        "demo",
        "--home",
        str(home),
        *given,
        *options,
    ]


def demo_variables() -> dict[str, str]:
    """Fewer steps than a user's demo: what is shown is that all of it works, not how well."""
    return {**os.environ, "ANNOTATOR_MIN_STEPS": "100", "PYTHONUNBUFFERED": "1"}


def demo_until_invitation(home: Path) -> None:
    """Start the demo, wait until it invites to label, and stop it as Ctrl-C does."""
    said = home.with_name("demo.log")
    with said.open("wb") as log:
        demo = subprocess.Popen(
            demo_command(home), env=demo_variables(), stdout=subprocess.PIPE, stderr=log, text=True
        )
    with demo:
        assert demo.stdout is not None
        try:
            invited = any("Label All Tasks" in line for line in demo.stdout)
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
            code = demo.wait(timeout=60)
        finally:
            demo.kill()
    assert invited, said.read_text(encoding="utf-8", errors="replace")
    assert code == 0, said.read_text(encoding="utf-8", errors="replace")
