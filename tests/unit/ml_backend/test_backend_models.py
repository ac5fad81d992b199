from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest
from backend_world import BASIC, World, make_predict, open_world, tiny_checkpoint
from sqlalchemy import text

from annotator.model import Predictor, checkpoint_sha256
from annotator.store.database import Database
from annotator.store.versions import active_version, set_version_state
from ml_backend.models import ModelHost


def test_a_promoted_version_takes_over(world: World) -> None:
    world.register("tiny-2")
    before = world.models.current()

    world.models.refresh()

    after = world.models.current()
    assert before is not None
    assert after is not None
    assert (before.version.name, after.version.name) == ("tiny-1", "tiny-2")


def test_a_version_that_cannot_be_loaded_is_told_and_the_last_good_one_answers(
    world: World, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint(), broken)
    world.register("tiny-2", folder=broken)
    (broken / "model.safetensors").write_bytes(b"rubbish")

    world.models.refresh()

    health = world.client().get("/health", headers=BASIC).json
    answer = world.client().post("/predict", json=make_predict("rash"), headers=BASIC)
    status = world.client().get("/api/v1/status", headers=BASIC).json["backend"]
    assert (health["status"], health["model_version"]) == ("UP", "tiny-1")
    assert health["error"] is not None
    assert "tiny-2 cannot be loaded" in status["error"]
    assert answer.json["results"][0]["model_version"] == "tiny-1"


def test_a_database_that_a_newer_program_upgraded_is_told_and_the_model_answers_on(
    world: World,
) -> None:
    world.register("tiny-2")
    with world.database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    world.models.refresh()

    health = world.client().get("/health", headers=BASIC).json
    status = world.client().get("/api/v1/status", headers=BASIC).json["backend"]
    assert (health["status"], health["model_version"]) == ("UP", "tiny-1")
    assert "at migration 9999" in status["error"]


def test_weights_that_are_not_the_registered_ones_are_not_served(bare_world: World) -> None:
    bare_world.register("tiny-1", sha256="0" * 64)

    bare_world.models.refresh()

    answer = bare_world.client().post("/predict", json=make_predict("rash"), headers=BASIC)
    assert bare_world.models.current() is None
    assert "not those that were registered" in bare_world.models.state()["error"]
    assert (answer.status_code, answer.json["code"]) == (503, "model_failed")


def test_a_version_that_failed_is_tried_again_later(
    bare_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_backend.models._RETRY_S", 0.0)
    sha256 = checkpoint_sha256(tiny_checkpoint())
    version = bare_world.register("tiny-1", folder=bare_world.settings.home / "late", sha256=sha256)
    bare_world.models.refresh()
    error = bare_world.models.state()["error"]
    shutil.copytree(tiny_checkpoint(), version.folder)

    bare_world.models.refresh()

    assert "cannot be loaded" in error
    assert bare_world.models.state() == {"version": "tiny-1", "loading": None, "error": None}


def test_without_an_active_version_no_model_is_kept(world: World) -> None:
    with world.database.write() as session:
        version = active_version(session, world.project_id)
        assert version is not None
        set_version_state(session, version.id, "retired")

    world.models.refresh()

    assert world.models.current() is None


def test_nobody_waits_while_a_version_loads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loading, go_on = threading.Event(), threading.Event()
    load = Predictor.load

    def slow(*arguments: object, **keywords: object) -> Predictor:
        loading.set()
        assert go_on.wait(20)
        return load(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "load", slow)
    world.register("tiny-2")
    thread = threading.Thread(target=world.models.refresh)
    thread.start()
    assert loading.wait(20)

    health = world.client().get("/health", headers=BASIC).json
    setup = world.client().post("/setup", json={}, headers=BASIC).json
    go_on.set()
    thread.join()

    assert (health["model_version"], health["loading"]) == ("tiny-1", "tiny-2")
    assert setup == {"model_version": "tiny-1"}
    assert world.models.state()["version"] == "tiny-2"


def test_the_thread_finds_a_promotion_by_itself(bare_world: World) -> None:
    bare_world.register("tiny-1")
    host = ModelHost(bare_world.database, bare_world.project_id, device="cpu", poll_s=0.05)

    deadline = time.monotonic() + 20
    found = iter(lambda: host.current() is None and time.monotonic() < deadline, False)
    [time.sleep(0.05) for _ in found]
    host.close()
    host.close()

    assert host.state()["version"] == "tiny-1"


def test_a_database_that_is_away_is_told_and_survived(tmp_path: Path) -> None:
    with open_world(tmp_path) as world:
        gone = Database(f"sqlite:///{tmp_path / 'missing' / 'annotator.db'}")
        host = ModelHost(gone, world.project_id, device="cpu", poll_s=3600)

        host.refresh()
        state = host.state()
        host.close()

    assert state["version"] is None
    assert "unable to open" in state["error"]
