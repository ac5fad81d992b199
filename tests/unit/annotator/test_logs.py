from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from annotator.logs import configure_logs, get_logger

SECRET = "Quillfeather took aspirin"


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def fail(document_text: str) -> None:
    raise ValueError(f"cannot read {document_text}")


@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "console"])
@pytest.mark.parametrize("key", ["text", "token", "password", "payload", "result", "data"])
def test_fields_that_may_hold_text_or_secrets_are_dropped(
    json_lines: bool, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(json_lines=json_lines)

    get_logger("test").info("event.happened", task_id=7, **{key: SECRET})

    written = capsys.readouterr().err
    assert "Quillfeather" not in written
    assert f"length {len(SECRET)}" in written
    assert "7" in written


@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "console"])
def test_an_exception_is_logged_without_its_message_and_variables(
    json_lines: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs(json_lines=json_lines)

    try:
        fail(SECRET)
    except ValueError:
        get_logger("test").exception("job.crashed", run_id=3)

    written = capsys.readouterr().err
    assert "Quillfeather" not in written
    assert "ValueError" in written
    assert "test_logs.py" in written


def test_json_lines_have_time_level_room_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json_lines=True)

    get_logger("jobs").warning("run.requeued", run_id=3)

    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    assert {k: event[k] for k in ("event", "level", "room", "run_id")} == {
        "event": "run.requeued",
        "level": "warning",
        "room": "jobs",
        "run_id": 3,
    }
    assert event["timestamp"].endswith("Z")


def test_a_level_silences_what_is_below(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(json_lines=True, level="ERROR")

    get_logger("jobs").warning("run.requeued")

    assert capsys.readouterr().err == ""
