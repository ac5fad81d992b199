from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from annotator.errors import ConfigError
from annotator.settings import (
    CONFIG_FILE,
    SECRETS_FILE,
    find_home,
    init_home,
    load_settings,
    write_secrets,
)
from annotator.store.database import Database


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "ward"
    init_home(folder, project="ward", unit="sentence", encoder="minilm")
    return folder


def append(home: Path, line: str) -> None:
    with (home / CONFIG_FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_a_new_home_has_settings_and_credentials_of_its_own(home: Path) -> None:
    settings = load_settings(home)

    assert (settings.home, settings.project, settings.unit) == (home, "ward", "sentence")
    secrets = [settings.backend_password, settings.api_token]
    assert all(len(secret.get_secret_value()) >= 24 for secret in secrets)
    assert all(secret.get_secret_value() not in repr(settings) for secret in secrets)


def test_making_a_home_again_overwrites_nothing(home: Path) -> None:
    append(home, "port = 9999")
    before = {f.name: f.read_bytes() for f in home.iterdir()}

    assert not init_home(home, project="other", unit="document", encoder="x")

    assert {f.name: f.read_bytes() for f in home.iterdir()} == before


def test_a_lost_secret_is_made_again_and_the_others_kept(home: Path) -> None:
    kept = load_settings(home).backend_password
    write_secrets(home, {"api_token": None, "studio_token": "abc"})

    init_home(home, project="ward", unit="sentence", encoder="minilm")

    settings = load_settings(home)
    assert settings.backend_password == kept
    assert settings.studio_token.get_secret_value() == "abc"
    assert settings.api_token.get_secret_value()


def test_secrets_are_the_owners_alone_whatever_lay_there(home: Path) -> None:
    left = home / f"{SECRETS_FILE}.new"
    left.write_text("left behind by a crash")
    left.chmod(0o644)

    write_secrets(home, {"studio_token": "abc"})

    assert stat.S_IMODE((home / SECRETS_FILE).stat().st_mode) == 0o600


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_token_is_read_as_it_was_written(home: Path, token: str) -> None:
    write_secrets(home, {"studio_token": token})

    assert load_settings(home).studio_token.get_secret_value() == token


def test_the_environment_wins_over_both_files_and_arguments_over_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(home, "port = 1111\nthreads = 2\nbatch = 3")
    monkeypatch.setenv("ANNOTATOR_PORT", "2222")
    monkeypatch.setenv("ANNOTATOR_THREADS", "4")
    monkeypatch.setenv("ANNOTATOR_TEST_POSTGRES_URL", "no setting of ours")

    settings = load_settings(home, threads=8, seed=None)

    assert (settings.port, settings.threads, settings.batch, settings.seed) == (2222, 8, 3, 13)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("port = 70000", "setting port in .*annotator.toml or ANNOTATOR_PORT"),
        ("unit = 'page'", "setting unit"),
        ("prot = 1", "setting prot .*there is no such setting"),
        ("port 1", "annotator.toml: not valid TOML"),
        ("lease_s = 0.5", "setting lease_s"),
        ("studio_public_url = 'javascript:alert(1)'", "setting studio_public_url .*https://"),
        ("studio_public_url = 'http://'", "setting studio_public_url .*a host"),
        ("studio_public_url = 'https://u:geheim@h'", "setting studio_public_url .*password"),
    ],
    ids=["range", "choice", "unknown", "no TOML", "too short", "no web", "no host", "password"],
)
def test_a_wrong_value_is_named_with_its_file(home: Path, line: str, message: str) -> None:
    (home / CONFIG_FILE).write_text(line, encoding="utf-8")

    with pytest.raises(ConfigError, match=message):
        load_settings(home)


def test_a_wrong_secret_is_not_repeated(home: Path) -> None:
    (home / SECRETS_FILE).write_text("studio_token = ['hunter2']", encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_settings(home)

    assert "hunter2" not in str(caught.value)


def test_the_nearest_home_upward_is_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANNOTATOR_HOME", raising=False)
    deep = home / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)

    assert find_home() == home


def test_a_named_home_is_taken_or_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_HOME", str(home))
    assert find_home() == home

    with pytest.raises(ConfigError, match="annotator init --home"):
        find_home(tmp_path)


def test_no_home_anywhere_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANNOTATOR_HOME", raising=False)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="run annotator init, or pass --home"):
        find_home()


@pytest.mark.parametrize("name", ["with blank", "50%25", "a?b=c", "a#b", "ä@:ß"])
def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    init_home(home, project="ward", unit="sentence", encoder="minilm")

    database = Database(load_settings(home).database)
    database.upgrade()
    database.close()

    assert (home / "annotator.db").is_file()


def test_urls_have_defaults_in_the_home(home: Path) -> None:
    settings = load_settings(home, backend_url="http://here:1/")

    assert settings.queue == f"sqlite:///{home}/queue.db"
    assert settings.backend == "http://here:1"
    assert settings.models_folder == home / "models"
    assert load_settings(home).backend == "http://127.0.0.1:9090"
    assert load_settings(home, database_url="sqlite:///x.db").database == "sqlite:///x.db"
