"""No text, token or password in what the programs print, log, answer or refuse."""

from __future__ import annotations

import json

import pytest
from loop_world import Loop

from annotator.resources import sample_file

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PAGES = (
    *("/", "/static/app.js", "/health", "/versions", "/nowhere", "/metrics"),
    *("/api/v1/status", "/api/v1/runs", "/api/v1/versions", "/api/v1/queue"),
)


@pytest.fixture(scope="module")
def said(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> str:
    """All that any process of ours has said so far, and said about faulty input."""
    lines = sample_file().read_text(encoding="utf-8").splitlines()
    note = json.loads(lines[0])
    broken = tmp_path_factory.mktemp("broken") / "broken.jsonl"
    broken.write_text(lines[0][:-20] + "\n", encoding="utf-8")
    mismatch = broken.with_name("mismatch.jsonl")
    entity = {"id": "e1", "type": "Drug", "start": 1, "end": 9, "text": note["text"][:20]}
    mismatch.write_text(json.dumps({**note, "entities": [entity]}) + "\n", encoding="utf-8")
    first = loop.command("next")["tasks"][0]["task"]
    for command in ("status", "models", "next", "runs list", "runs show 1", f"why {first}"):
        assert loop.run(*command.split()).returncode == 0
    for refused in (broken, mismatch):
        assert loop.run("import", "jsonl", refused, "--strict").returncode == 1
    bodies = (
        json.dumps({"tasks": [{"id": 1, "data": {"other": note["text"]}}]}),
        json.dumps({"tasks": note["text"]}),
        json.dumps({"action": "ANNOTATION_CREATED", "annotation": note["text"]}),
        lines[0][:-20],
    )
    answers = [
        loop.send(path, body.encode())[1] for path in ("/predict", "/webhook") for body in bodies
    ]
    files = sorted(loop.said.glob("*.log"))
    logs = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    return "\n".join([*answers, *(loop.send(page)[1] for page in PAGES), *logs])


def test_nothing_private_is_in_any_log_answer_or_refusal(
    said: str, private: dict[str, str]
) -> None:
    found = sorted(name for name, secret in private.items() if secret in said)

    assert found == []


@pytest.mark.parametrize("sign", ["backend.started", "worker.started", "annotator: error: "])
def test_the_logs_that_were_searched_are_those_of_all_processes(said: str, sign: str) -> None:
    assert sign in said


def test_the_private_phrases_are_long_enough_to_be_found(private: dict[str, str]) -> None:
    assert len(private) == 79
    assert min(len(secret) for secret in private.values()) >= 12
