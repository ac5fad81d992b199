"""The command line in this process, and projects for it to work on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from backend_world import World, open_world, tiny_checkpoint
from command_line import GOLD, LINK, Outcome, Run, write_lines

from annotator.cli.main import main
from annotator.settings import init_home
from annotator.store.projects import link_studio


@pytest.fixture
def annotator(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run the command line in this process."""
    monkeypatch.delenv("ANNOTATOR_HOME", raising=False)
    umask = os.umask(0o022)

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["annotator", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(code=int(ended.value.code or 0), out=captured.out, err=captured.err)

    yield run
    os.umask(umask)  # a command sets its own
    structlog.reset_defaults()


@pytest.fixture
def home(tmp_path: Path, annotator: Run) -> Path:
    """A project with one gold document and no model."""
    folder = tmp_path / "ward"
    assert annotator("init", "--home", folder).code == 0
    gold = write_lines(tmp_path / "gold.jsonl", GOLD)
    options = ("--as", "gold", "--holdout-share", 0, "--home", folder)
    imported = annotator("import", "jsonl", gold, *options)
    assert imported.code == 0, imported.err
    return folder


@contextmanager
def open_modelled(home: Path) -> Iterator[World]:
    """Make a connected project in ``home`` with a tiny model of its own in use."""
    init_home(
        home,
        project="default",
        unit="sentence",
        encoder=str(tiny_checkpoint().parent / "encoder"),
        device="cpu",
        precision="fp32",
        epochs=1,
        min_steps=2,
    )
    with open_world(home, version=None) as opened:
        model = home / "models" / "tiny-1"
        shutil.copytree(tiny_checkpoint(), model)
        opened.register("tiny-1", folder=model)
        with opened.database.write() as session:
            link_studio(session, opened.project_id, LINK)
        yield opened


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A connected project with a tiny model of its own in use."""
    with open_modelled(tmp_path / "modelled") as opened:
        yield opened


@pytest.fixture(scope="module")
def lasting_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same for all tests of a module."""
    with open_modelled(tmp_path_factory.mktemp("lasting") / "modelled") as opened:
        yield opened
