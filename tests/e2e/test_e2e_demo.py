"""The demo from nothing, interrupted, taken up where it was, and played to its end."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from demo_world import DEMO_TIMEOUT_S, demo_command, demo_variables

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(DEMO_TIMEOUT_S)]


@pytest.fixture(scope="module")
def played(
    demo_home: Path, tmp_path_factory: pytest.TempPathFactory, artifacts: Path
) -> dict[str, Any]:
    """What ``annotator demo --once`` says of a demo that was stopped when it had a model."""
    home = tmp_path_factory.mktemp("played") / "demo"
    shutil.copytree(demo_home, home, symlinks=True)
    done = subprocess.run(
        demo_command(home, "--once", "--json"),
        env=demo_variables(),
        capture_output=True,
        text=True,
        timeout=DEMO_TIMEOUT_S,
        check=False,
    )
    (artifacts / "demo.json").write_text(done.stdout, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return {**report, "said": done.stderr}


def test_every_step_of_the_loop_was_seen_to_happen(played: dict[str, Any]) -> None:
    assert played["ok"] is True
    assert played["labelled"] == 20
    assert [name for name, seen in played["checks"].items() if not seen] == []


def test_a_demo_that_is_started_again_goes_on_where_it_was(played: dict[str, Any]) -> None:
    assert "going on with the project" in played["said"]
    assert "is there already" in played["said"]
