"""A run that dies between any two of its writes, and what the next attempt makes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from run_world import claim, do, versions
from sqlalchemy.orm import Session

from annotator.model import load_checkpoint
from annotator.services.inference.versions import check_files
from annotator.services.models import train
from annotator.services.models.registry import folder_of_run, sweep_stale_files
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.runs import FINISHED, Run, cancel_run, finish_run, get_run
from annotator.store.versions import active_version


class PowerCutError(BaseException):
    """Nothing catches this: the process is gone."""


@contextmanager
def power_for(n_writes: float) -> Iterator[list[str]]:
    """Cut the power before write number ``n_writes``; collects what was done before."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **options: Any) -> Any:
            if len(done) >= n_writes:
                raise PowerCutError
            done.append(name)
            return real(*arguments, **options)

        return write

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", counted("flush", os.fsync))
        for name in ("rename", "replace", "write_text", "mkdir"):
            patch.setattr(Path, name, counted(name, getattr(Path, name)))
        patch.setattr(Session, "commit", counted("commit", Session.commit))
        yield done


def is_cut_off(work: Callable[[], Any], *, n_writes: int) -> bool:
    """Do work with power for so many writes; tell whether that was too little."""
    with power_for(n_writes):
        try:
            work()
        except PowerCutError:
            return True
    return False


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_power_cut_between_any_two_writes_leaves_one_version_that_loads(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    do(database, gold, claim(database, gold), settings)
    with power_for(float("inf")) as writes:
        do(database, gold, claim(database, gold, force=True), settings)
    assert {"flush", "rename", "write_text", "commit"} <= set(writes)

    for n_done in count():
        with database.read() as session:
            before = active_version(session, gold.id)
        run = claim(database, gold, force=True)
        if not is_cut_off(lambda run=run: do(database, gold, run, settings), n_writes=n_done):
            break
        with database.read() as session:
            assert active_version(session, gold.id) == before

        version, _ = do(database, gold, run, settings)

        check_files(version)
        load_checkpoint(Path(version.folder))
        states = versions(database, gold)
        assert [name for name, state in states.items() if state == "active"] == [version.name]
        left = {path.name for path in settings.models_folder.iterdir()}
        assert left == set(states)
    assert n_done >= len(writes) - 2  # what is measured once of the version in use is kept


def test_all_of_a_model_is_on_the_disk_before_the_database_names_it(
    database: Database,
    gold: Project,
    settings: Settings,
    trained: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flushed: list[str] = []
    real_fsync, real_add = os.fsync, train.add_version

    def fsync(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real_fsync(descriptor)

    def add_version(*arguments: Any, **options: Any) -> Any:
        folder = Path(options["folder"])
        flushed_files = {Path(path).name for path in flushed}
        files = {path.name for path in folder.rglob("*")}
        assert files <= flushed_files
        # The entry under its new name lasts once the folder around it is flushed, after the rename.
        assert flushed[-2:] == [str(folder.parent), str(folder.parent.parent)]
        return real_add(*arguments, **options)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(train, "add_version", add_version)

    version, _ = do(database, gold, claim(database, gold), settings)

    assert version.state == "active"


@pytest.fixture
def litter(settings: Settings) -> Callable[[Run], list[Path]]:
    """Leaves what a run that is killed leaves."""

    def leave(run: Run) -> list[Path]:
        folder = settings.models_folder / folder_of_run(run)
        paths = [
            folder,
            folder.with_name(f".{folder.name}.0a1b2c3d.new"),
            folder.with_name(f"{folder.name}.partial"),
            folder.with_name(f".{folder.name}.partial.0a1b2c3d"),
        ]
        for path in paths[:2]:
            path.mkdir(parents=True)
        for path in paths[2:]:
            path.write_bytes(b"x")
        return paths

    return leave


@pytest.mark.parametrize("state", [None, *sorted(FINISHED)])
def test_what_runs_left_is_cleared_away_once_they_have_ended(
    database: Database,
    gold: Project,
    settings: Settings,
    litter: Callable[[Run], list[Path]],
    state: str | None,
) -> None:
    run = claim(database, gold)
    paths = litter(run)
    version = settings.models_folder / f"ward-{run.id}-0123abcd"
    version.mkdir()
    if state is not None:
        with database.write() as session:
            finish_run(session, run.id, owner=str(run.owner), state=state)

    with database.read() as session:
        sweep_stale_files(session, settings.models_folder)

    assert [path.exists() for path in paths] == [state is None] * 4
    assert version.exists()


@pytest.mark.parametrize("state", [None, "failed", "cancelled"])
def test_a_model_that_the_database_never_named_goes_with_its_run(
    database: Database, gold: Project, settings: Settings, state: str | None
) -> None:
    do(database, gold, claim(database, gold), settings)
    (named,) = settings.models_folder.iterdir()
    run = claim(database, gold, force=True)
    nameless = named.with_name(f"ward-{run.id}-0123abcd")
    nameless.mkdir()
    origin = {"run": run.id, "submitted_at": run.created_at.isoformat()}
    (nameless / "run.json").write_text(json.dumps(origin), encoding="utf-8")
    if state is not None:
        with database.write() as session:
            finish_run(session, run.id, owner=str(run.owner), state=state)

    with database.read() as session:
        sweep_stale_files(session, settings.models_folder)

    assert (named.exists(), nameless.exists()) == (True, state is None)


def test_what_a_run_of_another_database_left_is_not_touched(
    database: Database, gold: Project, settings: Settings, litter: Callable[[Run], list[Path]]
) -> None:
    run = claim(database, gold)
    with database.write() as session:
        cancel_run(session, run.id)
        finish_run(session, run.id, owner=str(run.owner), state="cancelled")
    with database.read() as session:
        ended = get_run(session, run.id)
    stranger = settings.models_folder / folder_of_run(ended).replace("run-1-2", "run-1-1")
    stranger.mkdir(parents=True)

    with database.read() as session:
        assert sweep_stale_files(session, settings.models_folder) == []

    assert stranger.exists()


def test_a_full_disk_ends_the_run_with_the_reason(
    database: Database,
    gold: Project,
    settings: Settings,
    trained: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from annotator.jobs.training import execute_run

    def write_card(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(train, "write_card", write_card)
    run = claim(database, gold)

    assert execute_run(settings, database, run.id, owner=str(run.owner)) == "failed"

    with database.read() as session:
        error = str(get_run(session, run.id).error)
    assert "No space left on device" in error
    assert "check that the disk has room" in error
