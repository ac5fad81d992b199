"""The same labels, seed, settings and device give the same weights, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from factories import make_document

from annotator.domain import Entity, Relation
from annotator.services.intake.documents import ingest_documents
from annotator.settings import Settings, init_home, load_settings
from annotator.store.database import Database
from annotator.store.projects import ensure_project
from annotator.store.run_log import read_run_log
from annotator.store.runs import get_run, list_runs
from annotator.store.versions import list_versions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

N_STEPS = 150


@pytest.fixture
def settings(tmp_path: Path, tiny_encoder: Path) -> Settings:
    home = tmp_path / "home"
    init_home(
        home,
        project="ward",
        unit="sentence",
        encoder=str(tiny_encoder),
        device="cpu",
        epochs=1,
        min_steps=N_STEPS,
    )
    found = load_settings(home)
    database = Database(found.database)
    database.upgrade()
    with database.write() as session:
        project = ensure_project(session, name="ward", unit="sentence")
    documents = [
        make_document(
            f"d{i}",
            f"Aspirin caused a rash in case {i}.",
            entities=(
                Entity(id="a", type="Drug", start=0, end=7),
                Entity(id="b", type="Effect", start=17, end=21),
            ),
            relations=(Relation(type="causes", head="a", tail="b"),),
        )
        for i in range(30)
    ]
    ingest_documents(database, project.id, documents, role="gold", holdout_share=0.2, seed=1)
    database.close()
    return found


def start(settings: Settings, *options: str) -> subprocess.Popen[str]:
    command = ["retrain", "--wait", "--json", "--again", *options, "--home", str(settings.home)]
    return subprocess.Popen(
        [sys.executable, "-m", "annotator.cli.main", *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "ANNOTATOR_LEASE_S": "3"},
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    printed, _ = process.communicate()
    found: dict[str, Any] = json.loads(printed)
    return found


def look(settings: Settings, what: Callable[[Any], Any]) -> Any:
    database = Database(settings.database)
    with database.read() as session:
        found = what(session)
    database.close()
    return found


def sha256(settings: Settings, name: str) -> str:
    versions = {v.name: v for v in look(settings, lambda session: list_versions(session, 1))}
    return str(versions[name].sha256)


def kill_in_mid_run(settings: Settings, process: subprocess.Popen[str], run_id: int) -> None:
    """Kill a run when its first state is on the disk."""
    deadline = time.monotonic() + 300
    while not list(settings.models_folder.glob(f".run-{run_id}-*.partial")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_fresh_processes_and_a_killed_one_end_with_the_same_weights(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finish(start(settings))
    second = finish(start(settings))

    monkeypatch.setenv("ANNOTATOR_SAVE_EVERY_S", "0.2")
    killed = start(settings)
    kill_in_mid_run(settings, killed, 3)
    time.sleep(3.5)  # until its lease is over
    third = finish(start(settings))  # the run that was left is taken up again

    names = [found["version"] for found in (first, second, third)]
    assert [found["run"] for found in (first, second, third)] == [1, 2, 3]
    assert len({sha256(settings, name) for name in names}) == 1
    run = look(settings, lambda session: get_run(session, 3))
    lines = look(settings, lambda session: read_run_log(session, 3))
    trained = [line.detail for line in lines if line.kind == "train"]
    assert run.attempts == 2
    assert trained[-1]["resumed_from"] > 0
    assert len(look(settings, lambda session: list_runs(session, 1))) == 3
