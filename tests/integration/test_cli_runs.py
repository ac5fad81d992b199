"""``annotator runs``: what a person sees of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from annotator.cli.main import app
from annotator.settings import init_home, load_settings
from annotator.store.database import Database
from annotator.store.projects import ensure_project
from annotator.store.runs import claim_run, fail_or_requeue, finish_run, heartbeat, submit_run

PROGRESS = {
    "phase": "train",
    "epoch": 2,
    "n_epochs": 12,
    "step": 90,
    "n_steps": 600,
    "loss": 1.23456,
    "words_per_s": 812,
    "remaining_s": 95,
    "memory_mb": 640,
    "n_micro": 2,
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with a run that died once and is in its second attempt."""
    home = tmp_path / "home"
    init_home(home, project="ward", unit="sentence", encoder="minilm")
    database = Database(load_settings(home).database)
    database.upgrade()
    with database.write() as session:
        project = ensure_project(session, name="ward", unit="sentence")
        run, _ = submit_run(session, project.id, trigger="command")
        claim_run(session, run.id, owner="a:1/x", lease_s=600)
        fail_or_requeue(session, run.id, owner="a:1/x", error="killed by SIGKILL", max_attempts=3)
        claim_run(session, run.id, owner="a:1/y", lease_s=600)
        heartbeat(session, run.id, owner="a:1/y", lease_s=600, progress=PROGRESS)
    database.close()
    return home


def run(*words: str, home: Path) -> str:
    ended = CliRunner().invoke(app, ["runs", *words, "--home", str(home)])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


@pytest.mark.parametrize("command", [("list",), ("show", "1")])
def test_a_run_under_way_shows_where_it_is(home: Path, command: tuple[str, ...]) -> None:
    shown = run(*command, home=home)

    for words in (
        "epoch 2/12",
        "step 90/600",
        "loss 1.235",
        "812 words/s",
        "0:01:35 left",
        "640 MB",
        "2 micro-batches",
    ):
        assert words in shown


def test_a_run_shows_its_attempts_and_what_it_died_of(home: Path) -> None:
    shown = run("show", "1", home=home)

    assert "attempts      2" in shown
    assert "killed by SIGKILL" in shown
    assert "the pre-trained encoder" in shown


def test_the_log_tells_what_happened_in_order(home: Path) -> None:
    lines = run("logs", "1", "--json", home=home).splitlines()

    events = [json.loads(line) for line in lines]
    assert [event["kind"] for event in events] == ["submitted", "started", "died", "started"]
    assert (events[2]["cause"], events[2]["state"]) == ("killed by SIGKILL", "queued")
    assert "died" in run("logs", "1", home=home)


def test_following_ends_with_the_run(home: Path) -> None:
    database = Database(load_settings(home).database)
    with database.write() as session:
        finish_run(session, 1, owner="a:1/y", state="held", reasons=["no better"])
    database.close()

    shown = run("logs", "1", "--follow", home=home)

    assert shown.splitlines()[-1].endswith("ended          state held")
