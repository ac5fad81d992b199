from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from factories import make_document, make_task
from run_world import register

from annotator.active import get_strategy
from annotator.errors import ConfigError
from annotator.model import Predictor
from annotator.services.engine import LocalEngine, PoolText, ScoredText, make_engine
from annotator.services.on_ray import RayEngine
from annotator.services.scoring import score_pool_with, score_sentences
from annotator.settings import Settings, load_settings
from annotator.store.database import Database
from annotator.store.documents import sentences_of
from annotator.store.pool import sentences_by_id
from annotator.store.projects import Project
from annotator.store.versions import ModelVersion, predictions_for, utilities

TEXT = " ".join(f"Aspirin caused rash {i}." for i in (0, 1, 1, 2, 3, 1, 4))


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


@pytest.fixture
def version(database: Database, project: Project, tiny_model: Path) -> ModelVersion:
    return register(database, project, tiny_model)


@pytest.fixture
def pool(database: Database, project: Project) -> list[int]:
    """Seven sentences, three of which read alike."""
    with database.write() as session:
        make_task(session, project.id, document=make_document("d", TEXT), i_sentence=None)
        return [s.id for s in sentences_of(session, 1)]


class Backwards:
    """An engine that reads everything first and begins with the last."""

    def __init__(self, predictor: Predictor) -> None:
        self._engine = LocalEngine(load=lambda _version: predictor)
        self.train = self._engine.train
        self.asked: list[list[tuple[int, ...]]] = []

    def score(
        self, version: ModelVersion, shards: Iterable[Sequence[PoolText]]
    ) -> Iterator[list[ScoredText]]:
        read = list(shards)
        self.asked = [[one.sentence_ids for one in shard] for shard in read]
        return self._engine.score(version, reversed(read))


def test_an_engine_may_read_ahead_and_answer_in_any_order(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    pool: list[int],
) -> None:
    engine = Backwards(predictor)
    seen: list[tuple[int, int]] = []

    n_scored = score_pool_with(
        engine,
        database,
        project.id,
        version,
        strategy="mnlp",
        size=4,
        on_progress=lambda done, total: seen.append((done, total)),
    )

    a, b, c, d, e, f, g = pool
    assert engine.asked == [[(a,), (b, c), (d,)], [(e,), (f,), (g,)]]
    assert (n_scored, seen) == (7, [(3, 7), (7, 7)])
    with database.read() as session:
        sentences = sentences_by_id(session, pool)
        found = utilities(session, version.id, strategy="mnlp", sentence_ids=pool)
        stored = predictions_for(session, version.id, [s.text_hash for s in sentences])
    mnlp = get_strategy("mnlp")
    assert found == {
        s.id: pytest.approx(mnlp.score(stored[s.text_hash].signals)) for s in sentences
    }


def test_what_is_predicted_already_is_not_asked_for(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    pool: list[int],
) -> None:
    score_sentences(database, version.id, predictor, pool[:2], strategy="entropy")
    engine = Backwards(predictor)

    n_scored = score_pool_with(engine, database, project.id, version, strategy="mnlp")

    assert n_scored == 7
    assert engine.asked == [[(pool[3],), (pool[4],), (pool[6],)]]
    assert score_pool_with(engine, database, project.id, version, strategy="mnlp") == 0


def test_answers_before_a_death_are_kept(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    pool: list[int],
) -> None:
    engine = LocalEngine(load=lambda _version: predictor)

    def die(done: int, _total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_pool_with(
            engine, database, project.id, version, strategy="mnlp", size=2, on_progress=die
        )

    assert score_pool_with(engine, database, project.id, version, strategy="mnlp") == 3


def test_the_setting_chooses_the_engine(settings: Settings) -> None:
    on_ray = {"engine": "ray", "ray_address": "10.0.0.1:6379", "processes": 4}

    local = make_engine(settings)
    cluster = make_engine(load_settings(settings.home, **on_ray))

    assert isinstance(local, LocalEngine)
    assert cluster == RayEngine(
        address="10.0.0.1:6379", processes=4, device="cpu", precision="fp32"
    )


def test_another_engine_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="setting engine"):
        load_settings(settings.home, engine="spark")
