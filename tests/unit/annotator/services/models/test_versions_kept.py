from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from run_world import claim, register
from sqlalchemy import update

from annotator.errors import CheckpointError, ConflictError, NotFoundError
from annotator.model.checkpoint import WEIGHTS_FILE
from annotator.services.models import registry
from annotator.services.models.registry import (
    previous_version,
    promote_version,
    prune_versions,
    roll_back,
)
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project, audit_lines
from annotator.store.prune import versions_to_prune
from annotator.store.versions import ModelVersion, active_version, set_version_state
from db.tables import TrainingRunRow


@pytest.fixture
def folder(settings: Settings) -> Path:
    settings.models_folder.mkdir(parents=True)
    return settings.models_folder


def make_versions(database: Database, project: Project, folder: Path, n: int) -> None:
    """Versions v1 to vn, each promoted after the other."""
    for i in range(1, n + 1):
        (folder / f"v{i}").mkdir()
        (folder / f"v{i}" / WEIGHTS_FILE).write_bytes(f"weights {i}".encode())
        register(database, project, folder / f"v{i}", name=f"v{i}")


def prune_to(database: Database, project: Project, folder: Path, keep: int) -> list[str]:
    return prune_versions(database, project.id, keep=keep, models_folder=folder, actor="host:1")


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_newest_stay_and_each_deletion_is_noted(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 6)

    pruned = prune_to(database, project, folder, 3)

    assert sorted(pruned) == ["v1", "v2", "v3"]
    assert names(folder) == {"v4", "v5", "v6"}
    with database.read() as session:
        lines = audit_lines(session, project.id)
    assert {line["action"] for line in lines} == {"prune"}
    assert {line["detail"]["version"] for line in lines} == {"v1", "v2", "v3"}
    assert {line["detail"]["size_bytes"] for line in lines} == {9}
    assert prune_to(database, project, folder, 3) == []


def test_the_version_in_use_and_the_one_before_it_stay_however_old(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 6)
    promote_version(database, project.id, "v1", actor="test")
    promote_version(database, project.id, "v2", actor="test")

    prune_to(database, project, folder, 2)

    assert names(folder) == {"v1", "v2", "v5", "v6"}
    with database.read() as session:
        assert previous_version(session, project.id).name == "v1"


def test_what_a_waiting_run_starts_from_stays(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 5)
    with database.write() as session:
        session.execute(update(TrainingRunRow).values(settings={"start_from": "v2"}))

    prune_to(database, project, folder, 2)

    assert names(folder) == {"v2", "v4", "v5"}


def test_a_candidate_and_what_a_run_writes_stay(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 5)
    claim(database, project)
    (folder / ".run-9-x").mkdir()
    with database.write() as session:
        set_version_state(session, 1, "candidate")

    prune_to(database, project, folder, 2)

    assert names(folder) == {"v1", "v4", "v5", ".run-9-x"}


def test_a_folder_elsewhere_is_left_alone(
    database: Database, project: Project, folder: Path, tmp_path: Path
) -> None:
    make_versions(database, project, tmp_path / "models-of-old", 0)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / WEIGHTS_FILE).write_bytes(b"x")
    register(database, project, elsewhere, name="v0")
    make_versions(database, project, folder, 4)

    prune_to(database, project, folder, 2)

    assert (elsewhere / WEIGHTS_FILE).exists()
    assert names(folder) == {"v3", "v4"}


def test_a_version_that_is_promoted_meanwhile_stays(
    database: Database, project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_versions(database, project, folder, 4)
    put_aside = registry._put_aside

    def promote_first(*arguments: object, **options: object) -> bool:
        promote_version(database, project.id, "v1", actor="somebody")
        return put_aside(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "_put_aside", promote_first)

    assert "v1" not in prune_to(database, project, folder, 2)
    assert (folder / "v1").is_dir()


def test_a_version_without_files_cannot_be_promoted(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 4)
    prune_to(database, project, folder, 2)

    with pytest.raises(CheckpointError, match="files of v1 are not there any more"):
        promote_version(database, project.id, "v1", actor="test")

    with database.read() as session:
        assert previous_version(session, project.id).name == "v3"


def test_files_that_vanish_while_a_version_is_promoted_leave_the_old_one_in_use(
    database: Database, project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annotator.store.versions import active_version

    make_versions(database, project, folder, 3)
    check = registry.check_files

    def check_and_lose(version: object) -> None:
        check(version)  # type: ignore[arg-type]
        shutil.rmtree(folder / "v1")

    monkeypatch.setattr(registry, "check_files", check_and_lose)
    with pytest.raises(CheckpointError, match="not there any more"):
        promote_version(database, project.id, "v1", actor="test")

    with database.read() as session:
        active = active_version(session, project.id)
    assert active is not None
    assert active.name == "v3"


def test_what_a_killed_pruning_left_is_deleted_next_time(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 1)
    (folder / ".pruned-v0").mkdir()

    prune_to(database, project, folder, 2)

    assert names(folder) == {"v1"}


# ---------------------------------------------------------------- going back


def in_use(database: Database, project: Project) -> str:
    with database.read() as session:
        active = active_version(session, project.id)
    assert active is not None
    return active.name


@pytest.mark.parametrize(
    ("moves", "seen"),
    [
        ("< <", "v2 v1"),
        ("< v3 <", "v2 v3 v2"),
        ("v1 < <", "v1 v3 v2"),
        ("< v1 <", "v2 v1 v2"),
        ("v1 v2 < <", "v1 v2 v1 v3"),
        ("< v2 <", "v2 v2 v1"),
    ],
    ids=["twice", "promoted again", "by hand", "past it", "back and forth", "what is in use"],
)
def test_a_rollback_never_goes_to_what_was_rolled_back_from(
    database: Database, project: Project, folder: Path, moves: str, seen: str
) -> None:
    make_versions(database, project, folder, 3)

    found = []
    for move in moves.split():
        if move == "<":
            roll_back(database, project.id, actor="test")
        else:
            promote_version(database, project.id, move, actor="test")
        found.append(in_use(database, project))

    assert " ".join(found) == seen


def test_there_is_nothing_before_the_first_version(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 2)
    roll_back(database, project.id, actor="test")

    with pytest.raises(NotFoundError, match="no earlier version"):
        roll_back(database, project.id, actor="test")

    assert in_use(database, project) == "v1"


def test_a_rollback_of_what_another_one_rolled_back_changes_nothing(
    database: Database, project: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_versions(database, project, folder, 3)
    check = registry.check_files

    def check_while_another_goes_back(version: ModelVersion) -> None:
        monkeypatch.setattr(registry, "check_files", check)
        roll_back(database, project.id, actor="somebody else")

    monkeypatch.setattr(registry, "check_files", check_while_another_goes_back)

    with pytest.raises(ConflictError, match="v2 came into use meanwhile"):
        roll_back(database, project.id, actor="test")

    assert in_use(database, project) == "v2"


def test_the_predictions_that_stay_are_those_that_a_rollback_goes_to(
    database: Database, project: Project, folder: Path
) -> None:
    make_versions(database, project, folder, 4)
    roll_back(database, project.id, actor="test")  # to v3

    with database.read() as session:
        assert [v.name for v in versions_to_prune(session, project.id, keep=2)] == ["v1", "v4"]
