"""``annotator bench push`` against a real Label Studio."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.nightly, pytest.mark.timeout(900)]

N_TASKS = 1300  # a shard of a push has 1,000


@pytest.fixture(scope="module")
def pushed(tiny_encoder: Path) -> dict[str, Any]:
    """Tasks pushed in two shards, the process killed after the first."""
    venv = os.environ.get("ANNOTATOR_TEST_STUDIO_VENV")
    options = [
        f"--tasks={N_TASKS}",
        f"--encoder={tiny_encoder}",
        *([f"--studio-venv={venv}"] * bool(venv)),
    ]

    ended = subprocess.run(
        [sys.executable, "-m", "annotator.cli.main", "bench", "push", *options, "--json"],
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_push_that_was_killed_is_taken_up_and_repeated_without_doubles(
    pushed: dict[str, Any],
) -> None:
    assert (pushed["n_tasks_there"], pushed["n_tasks_double"]) == (N_TASKS, 0)
    assert (pushed["n_predictions_there"], pushed["n_predictions_double"]) == (N_TASKS, 0)
    assert pushed["n_without_prediction"] == 0


def test_the_version_that_was_pushed_is_the_one_that_is_shown(pushed: dict[str, Any]) -> None:
    assert pushed["selected"] is True


def test_going_back_to_the_version_before_sends_nothing(pushed: dict[str, Any]) -> None:
    assert pushed["rolled_back"] is True
    assert pushed["n_predictions_rolled_back"] == 2 * N_TASKS
