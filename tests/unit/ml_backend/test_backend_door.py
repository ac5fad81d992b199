"""Who is let in: by name, by credentials, by length, and how late a wrong guess is answered."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from annotator.live_settings import LiveSettings
from annotator.settings import Settings, init_home, load_settings, write_secrets
from ml_backend.auth import Credentials
from ml_backend.door import Door, Failures, Hosts

BASIC = {"AUTHORIZATION": "Basic " + base64.b64encode(b"annotator:right").decode()}
WRONG = {"AUTHORIZATION": "Basic " + base64.b64encode(b"annotator:wrong").decode()}
HERE = {"HOST": "127.0.0.1:9090"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    init_home(tmp_path, project="ward", unit="sentence", encoder="minilm")
    write_secrets(tmp_path, {"backend_password": "right", "api_token": "token"})
    return load_settings(
        tmp_path, backend_url="http://annotator.internal:9090", allowed_hosts="ward.example, W8"
    )


@pytest.fixture
def door(settings: Settings) -> Door:
    return Door(Credentials(settings), Hosts(LiveSettings(settings)), max_body=1000)


@pytest.mark.parametrize(
    ("path", "headers", "has_body", "told"),
    [
        ("/health", {}, False, None),
        ("/health", {"HOST": "probe.example"}, False, None),
        ("/health", {}, True, 413),
        ("/health", WRONG, False, 401),
        ("/predict", BASIC, False, None),
        ("/predict", {"AUTHORIZATION": "bearer token"}, False, None),
        ("/predict", {}, False, 401),
        ("/predict", WRONG, True, 401),
        ("//health", {}, False, 401),
        ("/predict", {**BASIC, "CONTENT_LENGTH": "1000"}, True, None),
        ("/predict", {**BASIC, "CONTENT_LENGTH": "1001"}, True, 413),
        ("/predict", {**WRONG, "CONTENT_LENGTH": "1001"}, True, 401),
        ("/predict", {**BASIC, "HOST": "evil.example"}, False, 421),
    ],
)
def test_headers_alone_decide(
    door: Door, path: str, headers: Mapping[str, str], has_body: bool, told: int | None
) -> None:
    refusal = door.examine(path, {**HERE, **headers}, has_body=has_body, address="10.0.0.1")

    assert (refusal and refusal.code) == told


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        *(("127.0.0.1:9090", True), ("localhost:9090", True), ("ward.localhost", True)),
        *(("[::1]:9090", True), ("10.1.2.3", True), ("LOCALHOST.", True)),
        *(("annotator.internal:9090", True), ("Ward.Example", True), ("w8:80", True)),
        *(("evil.example", False), ("annotator.internal.evil.example", False), ("", False)),
        *(("127.0.0.1.evil.example", False), ("127.0.0.1@evil.example", False), ("[::1", False)),
    ],
)
def test_the_backend_answers_to_its_own_names(settings: Settings, host: str, is_ours: bool) -> None:
    assert Hosts(LiveSettings(settings)).allow(host) is is_ours


def test_any_name_will_do_where_the_setting_says_so(tmp_path: Path) -> None:
    assert Hosts(LiveSettings(Settings(home=tmp_path, allowed_hosts=("*",)))).allow(
        "anything.example"
    )


def test_a_name_that_connect_writes_down_is_known_without_a_restart(settings: Settings) -> None:
    hosts = Hosts(LiveSettings(load_settings(settings.home)))
    before = hosts.allow("new.example:9090")

    write_secrets(settings.home, {"backend_url": "http://new.example:9090"})

    assert (before, hosts.allow("new.example:9090")) == (False, True)


def test_wrong_passwords_are_answered_late_after_some_and_only_those_of_their_address() -> None:
    now = [0.0]
    failures = Failures(clock=lambda: now[0])

    delays = [failures.note("10.0.0.1") for _ in range(12)]
    other = failures.note("10.0.0.2")
    now[0] = 700.0

    assert delays == [0, 0, 0, 0, 0, 1, 2, 4, 8, 8, 8, 8]
    assert (other, failures.note("10.0.0.1")) == (0.0, 0.0)


def test_a_flood_of_addresses_takes_bounded_memory() -> None:
    failures = Failures()

    for i in range(3000):
        failures.note(f"10.0.{i // 256}.{i % 256}")

    assert len(failures._seen) == 1000


def test_wrong_passwords_are_logged_without_them_and_in_few_lines(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(40):
        door.examine("/", {**HERE, **WRONG}, has_body=False, address="10.0.0.1")

    lines = [line for line in "".join(capsys.readouterr()).splitlines() if "login.refused" in line]
    assert len(lines) == 8
    assert "10.0.0.1" in lines[0]
    assert "32" in lines[-1]
    assert "wrong" not in "".join(lines)
    assert WRONG["AUTHORIZATION"] not in "".join(lines)
