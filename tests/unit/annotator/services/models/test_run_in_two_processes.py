from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from run_world import claim, do, read, versions

from annotator.jobs.training import run_settings
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project


class StopError(Exception):
    """Interrupts a run."""


@pytest.mark.slow
@pytest.mark.timeout(400)  # four processes that each import torch
def test_a_run_in_two_processes_is_stopped_taken_up_and_ended(
    database: Database, gold: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    often = run_settings(settings, "cpu").training
    monkeypatch.setattr(
        "annotator.jobs.training.TrainingSettings",
        lambda **fields: replace(often, **{**fields, "save_every_s": 0.0}),
    )
    two = settings.model_copy(update={"processes": 2, "min_steps": 8})
    run = claim(database, gold)
    steps: list[int] = []

    def stop(progress: Mapping[str, Any]) -> None:
        if progress.get("step") == 3:
            raise StopError

    def note(progress: Mapping[str, Any]) -> None:
        steps.extend([progress["step"]] if "step" in progress else [])

    with pytest.raises(StopError):
        do(database, gold, run, two, stop)

    version, _ = do(database, gold, run, two, note)

    assert steps[0] > 3
    assert steps == list(range(steps[0], 9))
    assert versions(database, gold) == {version.name: "active"}
    assert read(database, run).state == "succeeded"
