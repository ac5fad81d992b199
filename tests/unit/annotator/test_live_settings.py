from __future__ import annotations

from pathlib import Path

import pytest

from annotator.live_settings import LiveSettings
from annotator.settings import CONFIG_FILE, init_home, load_settings, write_secrets


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "ward"
    init_home(folder, project="ward", unit="sentence", encoder="minilm")
    return folder


def _add(home: Path, line: str) -> None:
    with (home / CONFIG_FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_a_secret_that_is_written_later_is_seen(home: Path) -> None:
    live = LiveSettings(load_settings(home))

    write_secrets(home, {"studio_token": "t0", "studio_project": 3})

    assert live.current().studio_token.get_secret_value() == "t0"
    assert live.current().studio_project == 3
    assert live.problem is None


def test_a_setting_that_is_changed_later_is_seen(home: Path) -> None:
    live = LiveSettings(load_settings(home))

    _add(home, "batch = 7")

    assert live.current().batch == 7


def test_a_change_that_needs_a_restart_is_told_and_not_taken(home: Path) -> None:
    live = LiveSettings(load_settings(home, device="cpu"))

    _add(home, 'database_url = "sqlite:///elsewhere.db"')
    _add(home, "batch = 7")

    assert live.current().database_url is None
    assert live.current().batch == 7
    assert live.current().device == "cpu"
    assert live.problem == "database_url changed: restart the program to use the new value"


def test_a_mistake_in_a_file_is_told_and_the_settings_before_stay(home: Path) -> None:
    live = LiveSettings(load_settings(home))

    _add(home, "batch = 0")

    assert live.current().batch == 50
    assert "batch" in str(live.problem)


def test_files_that_did_not_change_are_not_read_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveSettings(load_settings(home))
    monkeypatch.setattr("annotator.live_settings.load_settings", None)

    assert live.current() is live.current()
