from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_world import claim, do, ingest

from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.versions import ModelVersion


@pytest.fixture
def version(
    database: Database, project: Project, settings: Settings, trained: list[Path]
) -> ModelVersion:
    """A version with a hold-out large enough for both of its parts."""
    ingest(database, project, 0, 12)
    ingest(database, project, 12, 162, "holdout")
    return do(database, project, claim(database, project), settings)[0]


def test_a_card_says_what_a_researcher_asks(version: ModelVersion) -> None:
    card = (Path(version.folder) / "README.md").read_text(encoding="utf-8")
    metrics = version.metrics["holdout"]

    rows = {line.split(" | ")[0].strip("| "): line for line in card.splitlines() if "|" in line}
    assert metrics["n_dev"] + metrics["n_sentences"] == 150
    assert (
        rows["sentences"] == f"| sentences | 12 | {metrics['n_dev']} | {metrics['n_sentences']} |"
    )
    assert rows["entity Drug"].startswith("| entity Drug | 12 |")
    assert {"relation causes", "micro", "macro", "Effect", "entities", "relations"} <= set(rows)
    asked = ("Snapshot", "Gate", "seed", "epochs=1", "torch ", "not a medical device")
    assert [word for word in asked if word not in card] == []


def test_calibration_is_measured_on_test_alone(version: ModelVersion) -> None:
    stored = json.loads((Path(version.folder) / "metrics.json").read_text(encoding="utf-8"))

    assert stored == version.metrics["holdout"]
    assert set(stored["calibration"]) == {"ner", "re"}
    assert stored["calibration"]["ner"]["temperature"] > 0


def test_a_card_without_hold_out_claims_no_score(
    database: Database, project: Project, settings: Settings, trained: list[Path]
) -> None:
    ingest(database, project, 0, 6)
    version, _ = do(database, project, claim(database, project), settings)

    card = (Path(version.folder) / "README.md").read_text(encoding="utf-8")

    assert card.count("Not measured: there was no hold-out.") == 2
    assert "without having been measured" in card
