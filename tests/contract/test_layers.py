"""The rooms and the direction of imports, held by the contracts in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import annotator
import annotator.formats
import annotator.model
import annotator.training

_LOADED = "import sys; import {module}; print('\\n'.join(sorted(sys.modules)))"


def _modules_after(module: str, repository: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED.format(module=module)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_rooms_import_downwards_only(repository: Path) -> None:
    program = Path(sys.executable).with_name("lint-imports")

    done = subprocess.run(
        [str(program), "--no-cache"], cwd=repository, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("annotator", {"pydantic", "torch"}),
        ("annotator.domain", {"torch", "flask", "label_studio_sdk", "sqlalchemy"}),
        ("annotator.text", {"torch", "flask", "label_studio_sdk", "sqlalchemy"}),
        ("annotator.studio.codec", {"torch", "flask", "label_studio_sdk", "sqlalchemy"}),
        ("annotator.formats", {"torch", "flask", "label_studio_sdk", "sqlalchemy"}),
        ("db", {"torch", "flask", "label_studio_sdk", "annotator"}),
        ("annotator.model", {"torch", "flask", "sqlalchemy", "label_studio_sdk"}),
        ("annotator.model.predictor", {"flask", "sqlalchemy", "label_studio_sdk"}),
        ("annotator.training", {"torch", "flask", "sqlalchemy", "label_studio_sdk"}),
        ("annotator.training.gate", {"torch", "transformers", "flask", "sqlalchemy"}),
        ("annotator.training.loop", {"flask", "sqlalchemy", "label_studio_sdk"}),
        ("annotator.store.database", {"alembic", "torch", "numpy"}),
        ("annotator.services.queue.order", {"torch", "modAL", "flask"}),
        ("annotator.services.queue.room_settings", {"torch", "numpy", "sqlalchemy"}),
        ("annotator.views", {"flask", "sqlalchemy", "label_studio_sdk", "matplotlib"}),
        ("annotator.active", {"flask", "sqlalchemy", "label_studio_sdk", "modAL", "sklearn"}),
        ("annotator.experiments", {"flask", "sqlalchemy", "label_studio_sdk"}),
        ("annotator.simulation", {"flask", "sqlalchemy", "label_studio_sdk"}),
        ("annotator.cli.main", {"torch", "flask", "sqlalchemy", "pydantic", "structlog", "rich"}),
        ("annotator.services.inference.ray_engine", {"ray", "pyarrow", "flask"}),
        ("annotator.jobs.worker", {"torch", "flask", "modAL", "sklearn", "pandas", "matplotlib"}),
        ("ml_backend.server", {"torch", "transformers", "huey"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_room_loads_only_what_it_needs(module: str, unwanted: set[str], repository: Path) -> None:
    loaded = _modules_after(module, repository)

    assert not loaded & unwanted


@pytest.mark.parametrize(
    "package",
    [annotator, annotator.formats, annotator.model, annotator.training],
    ids=lambda package: package.__name__,
)
def test_a_package_gives_each_of_its_names_when_it_is_asked(package: ModuleType) -> None:
    found = {name: getattr(package, name) for name in package.__all__}

    assert not [name for name, value in found.items() if isinstance(value, ModuleType)]
    with pytest.raises(AttributeError, match=f"{package.__name__}' has no attribute 'nothing'"):
        _ = package.nothing


def test_no_two_test_files_of_folders_without_a_package_have_one_name(repository: Path) -> None:
    files = [
        file
        for file in (repository / "tests").rglob("test_*.py")
        if not (file.parent / "__init__.py").exists()
    ]
    names = [file.name for file in files]

    assert len(names) > 100
    assert sorted(names) == sorted(set(names))


def test_end_to_end_tests_are_where_make_e2e_looks_for_them(repository: Path) -> None:
    mark = "pytest.mark." + "e2e"  # this file is not one of them
    files = (repository / "tests").rglob("test_*.py")
    folders = {
        file.relative_to(repository).parent.as_posix()
        for file in files
        if mark in file.read_text("utf-8")
    }
    makefile = (repository / "Makefile").read_text("utf-8")
    looked_in = makefile.partition("-m 'e2e and not nightly'")[2].splitlines()[0].split()

    assert folders == set(looked_in)
