"""A real Ray cluster of several nodes on this machine, one of which is killed in mid-work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from factories import TINY_HEADS, make_document, make_task
from run_world import claim, do, ingest, read, register, versions
from safetensors.torch import load_file
from sqlalchemy import func, select
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.bench.ray_nodes import RayNodes
from annotator.cluster import joined
from annotator.errors import CancelledError, JobError, TrainingError
from annotator.services.inference.predictions import PoolText, ScoredText
from annotator.services.inference.ray_engine import RayEngine
from annotator.services.inference.scoring import score_pool
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.versions import ModelVersion
from annotator.training import TrainingProgress, TrainingSettings, train
from annotator.training.ray_trainer import train_on_ray
from db.tables import AcquisitionRow, PredictionRow

pytestmark = [
    pytest.mark.ray,
    pytest.mark.nightly,
    pytest.mark.timeout(1200),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),  # of Ray, about itself
]

N_SENTENCES = 3000
STILL = {"dropout": 0.0, **TINY_HEADS}


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    started = RayNodes()
    yield started
    started.close()


@pytest.fixture
def two_nodes(nodes: RayNodes, monkeypatch: pytest.MonkeyPatch) -> RayNodes:
    """A cluster with two nodes that compute, and timeouts for the impatient."""
    monkeypatch.setenv("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "30")
    nodes.fill(2)
    return nodes


class Recorder:
    """An engine that counts what another one answers."""

    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine
        self.train = engine.train
        self.answers: Counter[str] = Counter()

    def score(
        self, version: ModelVersion, shards: Iterable[Sequence[PoolText]]
    ) -> Iterator[list[ScoredText]]:
        for answer in self._engine.score(version, shards):
            self.answers.update(one.prediction.text_hash for one in answer)
            yield answer


@pytest.fixture
def version(database: Database, project: Project, tiny_model: Path) -> ModelVersion:
    text = " ".join(f"Aspirin caused rash {i}." for i in range(N_SENTENCES))
    with database.write() as session:
        make_task(session, project.id, document=make_document("long", text), i_sentence=None)
    return register(database, project, tiny_model)


def wait_until(is_so: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def node_with(nodes: RayNodes, title: str) -> int:
    """Return the pid of a node on which a process of this title computes."""
    return next(
        pid
        for pid in nodes.pids
        if any(title in " ".join(child.cmdline()) for child in psutil.Process(pid).children())
    )


def n_idle() -> int:
    """Count the cores that nobody has taken."""
    import ray

    return int(ray.available_resources().get("CPU", 0))


def count(database: Database, table: Any) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_node_killed_in_mid_scoring_leaves_every_sentence_scored_once(
    two_nodes: RayNodes, database: Database, project: Project, version: ModelVersion
) -> None:
    engine = Recorder(RayEngine(address=two_nodes.address, processes=2))
    killed_at: list[int] = []

    def kill(done: int, total: int) -> None:
        if not killed_at:
            killed_at.append(done)
            two_nodes.kill(node_with(two_nodes, "MapWorker"))

    n_scored = score_pool(
        engine, database, project.id, version, strategy="mnlp", size=16, on_progress=kill
    )

    assert killed_at[0] < N_SENTENCES / 2
    assert n_scored == N_SENTENCES
    assert set(engine.answers.values()) == {1}
    assert count(database, PredictionRow) == count(database, AcquisitionRow) == N_SENTENCES


def test_scoring_that_was_stopped_goes_on_where_it_was(
    two_nodes: RayNodes, database: Database, project: Project, version: ModelVersion
) -> None:
    engine = Recorder(RayEngine(address=two_nodes.address, processes=2))

    def stop(done: int, total: int) -> None:
        raise CancelledError(f"after {done} of {total}")

    with pytest.raises(CancelledError, match=f"of {N_SENTENCES}"):
        score_pool(
            engine, database, project.id, version, strategy="mnlp", size=512, on_progress=stop
        )
    n_before = count(database, PredictionRow)
    rest = Recorder(RayEngine(address=two_nodes.address, processes=1))

    n_scored = score_pool(rest, database, project.id, version, strategy="mnlp", size=512)

    assert 0 < n_before < N_SENTENCES
    assert rest.answers.total() == n_scored == N_SENTENCES - n_before
    assert count(database, PredictionRow) == N_SENTENCES


def test_a_node_killed_in_mid_training_costs_no_more_than_the_way_from_the_last_state(
    two_nodes: RayNodes, still_encoder: Path, tmp_path: Path
) -> None:
    settings = TrainingSettings(
        epochs=50, min_steps=0, batch_size=3, precision="fp32", save_every_s=0.0
    )
    common: dict[str, Any] = {
        "schema": TINY_SCHEMA,
        "encoder": str(still_encoder),
        "options": STILL,
        "settings": settings,
    }
    steps: list[int] = []

    def kill(progress: TrainingProgress) -> None:
        if not steps and progress.step >= 5:
            two_nodes.kill(node_with(two_nodes, "RayTrainWorker"))
        steps.extend([progress.step] if steps or progress.step >= 5 else [])

    result = train_on_ray(
        EIGHT_SENTENCES,
        address=two_nodes.address,
        n_processes=2,
        folder=tmp_path / "two",
        on_progress=kill,
        **common,
    )

    train(EIGHT_SENTENCES, folder=tmp_path / "one", **common)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert steps[0] < 100
    assert steps[-1] == result.n_steps == 150
    assert result.resumed_from >= steps[0] - 1
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "still", "two"]


def test_a_run_of_the_project_trains_on_the_cluster(
    two_nodes: RayNodes, database: Database, project: Project, settings: Settings
) -> None:
    ingest(database, project, 0, 24)
    ingest(database, project, 24, 32, "holdout")
    on_ray = settings.model_copy(
        update={"engine": "ray", "ray_address": two_nodes.address, "processes": 2, "min_steps": 40}
    )
    run = claim(database, project)

    def stop(progress: Mapping[str, Any]) -> None:
        if progress["phase"] == "train":
            raise CancelledError(f"in step {progress['step']}")

    with pytest.raises(CancelledError, match="in step"):
        do(database, project, run, on_ray, stop)
    with joined(two_nodes.address):
        wait_until(lambda: n_idle() == 2)

    version, _ = do(database, project, run, on_ray)

    assert versions(database, project) == {version.name: "active"}
    assert read(database, run).state == "succeeded"
    assert [path.name for path in settings.models_folder.iterdir()] == [version.name]


def test_what_training_cannot_do_is_said_and_not_tried_again(
    two_nodes: RayNodes, tiny_encoder: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="label and submit"):
        train_on_ray(
            (),
            address=two_nodes.address,
            n_processes=2,
            schema=TINY_SCHEMA,
            encoder=str(tiny_encoder),
            settings=TrainingSettings(),
            folder=tmp_path / "a",
        )


def test_weights_that_a_node_does_not_have_are_named(
    two_nodes: RayNodes, database: Database, project: Project, version: ModelVersion
) -> None:
    engine = RayEngine(address=two_nodes.address, processes=2)

    with pytest.raises(JobError, match=r"nowhere.*docs/howto/cluster\.md"):
        score_pool(
            engine, database, project.id, replace(version, folder="/nowhere"), strategy="mnlp"
        )
