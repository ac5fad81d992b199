"""A model, an event, a port or a Label Studio that is not as it should be."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from backend_world import BASIC, World, make_predict, tiny_checkpoint
from command_line import GOLD, LINK, SECRET_TEXT, Run, dump, write_lines
from factories import STUDIO_PROJECT
from served_backend import Served, ask, serving, wait_for_health

from annotator.errors import StudioError
from annotator.services.reports.doctor import ask_backend
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.webhooks import process_inbox
from annotator.settings import write_secrets
from annotator.store.projects import get_project
from annotator.studio.client import StudioClient
from annotator.studio.config import parse_config

pytestmark = pytest.mark.slow


def damage(world: World) -> None:
    weights = world.settings.home / "models" / "tiny-1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


# ---------------------------------------------------------------- model and queue


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file ``notes.jsonl`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_lines(tmp_path / "notes.jsonl", GOLD)


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("command", ["predict notes.jsonl", "next", "evaluate --data notes.jsonl"])
def test_without_a_model_the_command_that_trains_one_is_named(
    annotator: Run, home: Path, command: str
) -> None:
    outcome = annotator(*command.split(), "--home", home)

    assert "annotator retrain --wait" in outcome.error


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("command", ["predict notes.jsonl", "evaluate --data notes.jsonl"])
def test_damaged_weights_are_named_and_no_other_model_is_used_instead(
    annotator: Run, world: World, command: str
) -> None:
    damage(world)
    before = dump(world.settings.home)

    outcome = annotator(*command.split(), "--home", world.settings.home)

    assert "the files of tiny-1 in" in outcome.error
    assert "train again" in outcome.error
    assert dump(world.settings.home) == before


@pytest.mark.usefixtures("notes")
@pytest.mark.parametrize("command", ["promote nope", "evaluate --model nope --data notes.jsonl"])
def test_an_unknown_version_is_refused_and_the_active_one_stays(
    annotator: Run, world: World, command: str
) -> None:
    before = dump(world.settings.home)

    outcome = annotator(*command.split(), "--home", world.settings.home)

    assert "annotator models lists them" in outcome.error
    assert dump(world.settings.home) == before


def test_an_unknown_strategy_is_answered_with_those_there_are(annotator: Run, world: World) -> None:
    outcome = annotator("next", "--strategy", "magic", "--home", world.settings.home)

    assert "'magic'" in outcome.error
    assert "mnlp, random" in outcome.error


def test_the_result_of_a_training_run_is_all_that_json_output_holds(
    annotator: Run, home: Path
) -> None:
    encoder = tiny_checkpoint().parent / "encoder"
    (home / "annotator.toml").write_text(
        f'encoder = "{encoder}"\nepochs = 1\nmin_steps = 1\n', encoding="utf-8"
    )

    outcome = annotator("retrain", "--wait", "--json", "--home", home)

    assert json.loads(outcome.out)["state"] == "succeeded"


# ---------------------------------------------------------------- events of Label Studio

SPLIT = SplitRule(holdout_share=0.0, seed=1)


def region(id: str, label: str, start: int, end: int) -> dict[str, Any]:
    return {
        "id": id,
        "type": "labels",
        "from_name": "label",
        "to_name": "text",
        "value": {"start": start, "end": end, "labels": [label], "text": SECRET_TEXT[start:end]},
    }


def send(world: World, *result: Any) -> None:
    """Deliver an annotation as Label Studio does, and let the inbox be worked off."""
    event = {
        "action": "ANNOTATION_CREATED",
        "project": {**STUDIO_PROJECT, "id": LINK.project_id},
        "task": {"id": 77, "data": {"text": SECRET_TEXT}},
        "annotation": {
            "id": 9,
            "task": 77,
            "result": list(result),
            "updated_at": "2026-01-01T00:00:00.000000Z",
            "was_cancelled": False,
            "completed_by": 1,
        },
    }
    assert world.client().post("/webhook", json=event, headers=BASIC).status_code == 201
    with world.database.read() as session:
        project = get_project(session, "default")
    process_inbox(world.database, project, split=SPLIT)


def test_a_label_unknown_to_the_project_is_kept_exported_and_does_not_stop_training(
    annotator: Run, world: World, tmp_path: Path
) -> None:
    home = world.settings.home

    send(world, region("r1", "Drug", 18, 25), region("r2", "Mystery", 36, 40))

    exported = annotator("export", "--out", tmp_path / "out", "--home", home)
    assert exported.code == 0, exported.err
    lines = (tmp_path / "out" / "gold.jsonl").read_text(encoding="utf-8").splitlines()
    assert [e["type"] for e in json.loads(lines[0])["entities"]] == ["Drug", "Mystery"]
    trained = annotator("retrain", "--wait", "--json", "--home", home)
    assert trained.code == 0, trained.err
    assert json.loads(trained.out)["state"] == "succeeded"


def test_a_relation_to_a_missing_region_is_left_out_and_what_came_is_kept(
    annotator: Run, world: World, tmp_path: Path
) -> None:
    dangling = {"type": "relation", "from_id": "r1", "to_id": "gone", "direction": "right"}

    send(world, region("r1", "Drug", 18, 25), dangling)

    out = tmp_path / "out"
    assert annotator("export", "--out", out, "--home", world.settings.home).code == 0
    gold = json.loads((out / "gold.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert ([e["type"] for e in gold["entities"]], gold["relations"]) == (["Drug"], [])
    assert any('"to_id": "gone"' in row for row in dump(world.settings.home))


def test_an_event_that_cannot_be_understood_is_kept_and_told_by_status(
    annotator: Run, world: World
) -> None:
    event = {
        "action": "ANNOTATION_CREATED",
        "project": {**STUDIO_PROJECT, "id": LINK.project_id},
        "task": {"id": 77, "data": {"text": SECRET_TEXT}},
        "annotation": {"id": 9, "task": 77, "result": "no list"},
    }
    assert world.client().post("/webhook", json=event, headers=BASIC).status_code == 201
    with world.database.read() as session:
        project = get_project(session, "default")
    process_inbox(world.database, project, split=SPLIT)

    status = annotator("status", "--home", world.settings.home)

    assert (status.code, status.err) == (0, "")
    assert "1 events could not be understood" in status.out


@pytest.mark.parametrize(
    ("public", "said"),
    [
        ({}, "label studio   http://127.0.0.1:9/projects/5/data\n"),
        (
            {"studio_public_url": "https://studio.example/"},
            "label studio   https://studio.example/projects/5/data (called at http://127.0.0.1:9)",
        ),
    ],
    ids=["as it is called", "another one"],
)
def test_status_tells_where_people_open_label_studio(
    annotator: Run, world: World, public: dict[str, str], said: str
) -> None:
    write_secrets(world.settings.home, public)

    status = annotator("status", "--home", world.settings.home)

    assert said in status.out


# ---------------------------------------------------------------- Label Studio and the network


def test_a_label_studio_that_does_not_run_is_named_with_its_address(
    annotator: Run, world: World
) -> None:
    home = world.settings.home
    write_secrets(home, {"studio_url": LINK.host, "studio_token": "a1b2c3" * 6})
    before = dump(home)

    outcome = annotator("sync", "--home", home)

    assert LINK.host in outcome.error
    assert "is Label Studio running there?" in outcome.error
    assert "a1b2c3" not in outcome.error
    assert dump(home) == before


def test_connecting_to_a_label_studio_that_does_not_run_leaves_the_project_as_it_is(
    annotator: Run, home: Path
) -> None:
    before = dump(home), (home / "secrets.toml").read_bytes()

    outcome = annotator(
        "connect", LINK.host, "--token", "a1b2c3" * 6, "--project", 1, "--home", home
    )

    assert LINK.host in outcome.error
    assert "a1b2c3" not in outcome.error
    assert (dump(home), (home / "secrets.toml").read_bytes()) == before


def test_connecting_without_a_backend_makes_nothing_in_label_studio(
    annotator: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(StudioClient, "whoami", lambda _: {"id": 1})
    monkeypatch.setattr(StudioClient, "create_project", lambda *_: calls.append("create"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (home / "annotator.toml").open("a", encoding="utf-8") as settings:
        settings.write(f"port = {port}\n")

    outcome = annotator(
        "connect", LINK.host, "--token", "a1b2c3" * 6, "--create", "Ward 7", "--home", home
    )

    assert f"http://127.0.0.1:{port}: no answer" in outcome.error
    assert "start annotator serve" in outcome.error
    assert calls == []


class Stranger(BaseHTTPRequestHandler):
    """Another project's backend: it is up, and refuses our password."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == "/health" else 401)
        self.end_headers()
        self.wfile.write(b'{"status": "UP"}')

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("is_named", [False, True], ids=["by the settings", "by the option"])
def test_the_backend_of_another_project_is_told_apart_before_anything_is_made(
    annotator: Run, home: Path, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(StudioClient, "whoami", lambda _: {"id": 1})
    monkeypatch.setattr(StudioClient, "create_project", lambda *_: calls.append("create"))
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        if not is_named:
            with (home / "annotator.toml").open("a", encoding="utf-8") as settings:
                settings.write(f"port = {server.server_port}\n")
        more = ("--backend-url", url) if is_named else ()
        outcome = annotator(
            *("connect", LINK.host, "--token", "a1b2c3" * 6, "--create", "Ward 7"),
            *("--home", home, *more),
        )
        server.shutdown()

    assert f"what answers at {url} is not this project's annotator serve" in outcome.error
    assert "--backend-url" in outcome.error
    assert calls == []


def test_a_project_without_gold_is_made_with_the_types_that_are_named(
    annotator: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "empty"
    annotator("init", "--home", home)
    made: list[str] = []

    def create(_client: StudioClient, _title: str, config: str) -> None:
        made.append(config)
        raise StudioError("far enough")

    monkeypatch.setattr(StudioClient, "whoami", lambda _: {"id": 1})
    monkeypatch.setattr(StudioClient, "create_project", create)
    types = ("--entity", "Drug", "--entity", "Effect", "--relation", "causes")

    outcome = annotator(
        *("connect", LINK.host, "--token", "a1b2c3" * 6, "--create", "Ward 7", *types),
        *("--backend-url", "http://annotator.invalid:9", "--home", home),
    )

    assert "far enough" in outcome.error
    schema = parse_config(made[0]).schema
    assert set(schema.entity_types) == {"Drug", "Effect"}
    assert schema.relation_types == ("causes",)


@pytest.mark.parametrize("address", ["studio.example", "ftp://studio.example", "https://"])
def test_an_address_that_no_browser_opens_is_refused_before_anything_is_done(
    annotator: Run, home: Path, address: str
) -> None:
    before = (home / "secrets.toml").read_bytes()
    options = ("--token", "a1b2c3" * 6, "--project", 1, "--public-url", address, "--home", home)

    outcome = annotator("connect", LINK.host, *options)

    assert outcome.code == 2
    assert "https://" in outcome.err
    assert (home / "secrets.toml").read_bytes() == before


@pytest.mark.parametrize("command", ["sync", "push", "disconnect"])
def test_a_project_that_is_not_connected_is_told_how_to_connect(
    annotator: Run, home: Path, command: str
) -> None:
    assert "run annotator connect URL" in annotator(command, "--home", home).error


def test_a_taken_port_is_named_and_nothing_is_said_to_be_served(annotator: Run, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        outcome = annotator("serve", "--port", port, "--home", home)

    assert f"127.0.0.1:{port} is taken" in outcome.error
    assert "--port" in outcome.error


@pytest.fixture
def server(world: World) -> Iterator[Served]:
    """A backend in a process of its own over a project whose weights are damaged."""
    damage(world)
    with serving(world.settings.home) as started:
        yield started


def test_a_backend_with_damaged_weights_keeps_running_and_says_what_is_wrong(
    server: Served, world: World
) -> None:
    process, port = server
    health = wait_for_health(port, "error")
    called = world.settings.model_copy(update={"backend_url": f"http://127.0.0.1:{port}"})

    status = ask(port, "/api/v1/status")
    refused = ask(port, "/predict", make_predict(SECRET_TEXT))

    assert (health["status"], health["model_version"]) == ("UP", None)
    assert "tiny-1" in status[1]["backend"]["error"]
    assert ask_backend(called).ails == status[1]["backend"]["error"]
    assert (refused[0], refused[1]["code"]) == (503, "model_failed")
    assert process.poll() is None
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err
    assert "Quillfeather" not in err
