from __future__ import annotations

from pathlib import Path

import pytest

from annotator import resources
from annotator.errors import ConfigError


def test_a_checkout_has_its_resources() -> None:
    assert (resources.static_folder() / "index.html").is_file()
    assert (resources.migrations_folder() / "env.py").is_file()
    assert resources.sample_file().is_file()


def test_an_installed_package_has_them_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "annotator" / "_resources" / "static"
    inside.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "annotator")

    assert resources.static_folder() == inside


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "annotator")

    with pytest.raises(ConfigError, match="migrations/ is missing from this installation"):
        resources.migrations_folder()
