from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_world import claim, do, read, versions
from sqlalchemy import func, select

from annotator.errors import LeaseLostError
from annotator.jobs.training import run_settings
from annotator.services.models import train
from annotator.services.models.train import run_training
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from db.tables import AuditRow


class StopError(Exception):
    """Interrupts a run."""


def stop_at(step: int) -> Callable[[Mapping[str, Any]], None]:
    def report(progress: Mapping[str, Any]) -> None:
        if progress.get("step") == step:
            raise StopError

    return report


def test_a_run_that_was_interrupted_goes_on_and_ends_with_the_same_weights(
    database: Database,
    gold: Project,
    settings: Settings,
    trained: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    often = run_settings(settings, "cpu").training
    monkeypatch.setattr(
        "annotator.jobs.training.TrainingSettings",
        lambda **fields: replace(often, **{**fields, "save_every_s": 0.0}),
    )
    run = claim(database, gold)
    with pytest.raises(StopError):
        do(database, gold, run, settings, stop_at(2))
    assert list(settings.models_folder.glob("*.partial"))
    steps: list[int] = []

    def note(progress: Mapping[str, Any]) -> None:
        steps.extend([progress["step"]] if "step" in progress else [])

    version, _ = do(database, gold, run, settings, note)

    unbroken, _ = do(database, gold, claim(database, gold), settings)
    assert steps == [3, 4]
    assert version.sha256 == unbroken.sha256
    assert list(settings.models_folder.glob(".*")) == []


@pytest.mark.parametrize("phase", ["origin", "card", "registry", "end"])
def test_a_run_killed_after_training_does_not_train_twice(
    database: Database,
    gold: Project,
    settings: Settings,
    trained: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    phase: str,
) -> None:
    names = {
        "origin": "_write_origin",
        "card": "write_card",
        "registry": "add_version",
        "end": "finish_run",
    }

    def die(*_arguments: Any, **_options: Any) -> None:
        raise StopError

    run = claim(database, gold)
    with monkeypatch.context() as patch:
        patch.setattr(train, names[phase], die)
        with pytest.raises(StopError):
            do(database, gold, run, settings)
    assert versions(database, gold) == {}

    version, _ = do(database, gold, run, settings)

    assert len(trained) == 1
    assert versions(database, gold) == {version.name: "active"}
    assert [f.name for f in settings.models_folder.iterdir()] == [version.name]
    with database.read() as session:
        n_audits = session.scalar(
            select(func.count()).select_from(AuditRow).where(AuditRow.action == "promote")
        )
    assert n_audits == 1


def test_a_model_of_a_database_that_was_there_before_is_not_taken_for_a_runs_own(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    run = claim(database, gold)
    settings.models_folder.mkdir()
    for name in (".run-1", f"ward-{run.id}-0123abcd"):
        (settings.models_folder / name).mkdir()
        (settings.models_folder / name / "run.json").write_text(json.dumps({"run": run.id}))

    do(database, gold, run, settings)

    assert len(trained) == 1


def test_a_run_that_was_taken_over_changes_nothing(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    run = claim(database, gold)

    with pytest.raises(LeaseLostError):
        run_training(
            database,
            gold.id,
            run.id,
            owner="somebody else",
            settings=run_settings(settings, "cpu"),
            report=lambda _progress: None,
        )

    assert versions(database, gold) == {}
    assert read(database, run).state == "running"


def test_a_projects_name_may_hold_anything(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    named = settings.model_copy(update={"project": "ward/7 *[ä]"})

    version, _ = do(database, gold, claim(database, gold), named)

    assert version.name.startswith("ward-7-ä-")
    assert Path(version.folder).parent == settings.models_folder
