from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_document, make_task
from run_world import register
from sqlalchemy import update

from annotator.active import ScoredPool, get_strategy
from annotator.errors import ConfigError
from annotator.model import Predictor
from annotator.services.inference.compute import LocalEngine, make_engine
from annotator.services.inference.predictions import PoolText, ScoredText
from annotator.services.inference.ray_engine import RayEngine
from annotator.services.inference.scoring import score_pool, shards_to_score
from annotator.services.queue.score import ranking_cost
from annotator.settings import Settings, load_settings
from annotator.store.database import Database
from annotator.store.documents import sentences_of
from annotator.store.lead_times import keep_costs
from annotator.store.pool import sentences_by_id
from annotator.store.projects import Project
from annotator.store.tasks import mark_tasks_deleted
from annotator.store.versions import ModelVersion, predictions_for, utilities
from db.tables import AuditRow, ProjectRow

FIVE = " ".join(f"Aspirin caused rash {i}." for i in range(5))
ALIKE = " ".join(f"Aspirin caused rash {i}." for i in (0, 1, 1, 2, 3, 1, 4))


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


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


@pytest.fixture
def here(predictor: Predictor) -> LocalEngine:
    return LocalEngine(load=lambda _version: predictor)


@pytest.fixture
def backwards(predictor: Predictor) -> Backwards:
    return Backwards(predictor)


@pytest.fixture
def version(database: Database, project: Project, tiny_model: Path) -> ModelVersion:
    return register(database, project, tiny_model)


@pytest.fixture
def pool(database: Database, project: Project) -> list[int]:
    """Sentences: five of a document task, two of sentence tasks; others are shown by no task."""
    with database.write() as session:
        make_task(session, project.id, document=make_document("whole", FIVE), i_sentence=None)
        alone = make_document("alone", FIVE.replace("rash", "fever"))
        make_task(session, project.id, studio_id=2, document=alone, i_sentence=1)
        make_task(session, project.id, studio_id=3, document=alone, i_sentence=3)
        make_task(session, project.id, studio_id=4, document=alone, i_sentence=4)
        mark_tasks_deleted(session, project.id, [4])
        whole, parts = sentences_of(session, 1), sentences_of(session, 2)
    return [s.id for s in [*whole, parts[1], parts[3]]]


@pytest.fixture
def alike(database: Database, project: Project) -> list[int]:
    """Seven sentences of one task, three of which read alike."""
    with database.write() as session:
        make_task(session, project.id, document=make_document("d", ALIKE), i_sentence=None)
        return [s.id for s in sentences_of(session, 1)]


@pytest.fixture
def score(database: Database, project: Project, version: ModelVersion) -> Any:
    def run(engine: Any, strategy: str = "mnlp", **options: Any) -> int:
        cost = ranking_cost(database, project.id, version)
        return score_pool(
            engine, database, project.id, version, strategy=strategy, cost=cost, **options
        )

    return run


@pytest.fixture
def expected(database: Database, version: ModelVersion) -> Any:
    """What must stand in the table for some sentences, by what is predicted of them."""

    def run(ids: Sequence[int], strategy: str = "mnlp") -> dict[int, Any]:
        with database.read() as session:
            sentences = sentences_by_id(session, ids)
            stored = predictions_for(session, version.id, [s.text_hash for s in sentences])
        signals = ScoredPool.of([stored[s.text_hash].signals for s in sentences])
        values = get_strategy(strategy).utilities(signals)
        return {s.id: pytest.approx(v) for s, v in zip(sentences, values, strict=True)}

    return run


@pytest.fixture
def found(database: Database, version: ModelVersion) -> Any:
    def run(strategy: str = "mnlp") -> dict[int, float]:
        with database.read() as session:
            return utilities(session, version.id, strategy=strategy, sentence_ids=range(100))

    return run


def test_every_sentence_of_an_open_task_is_scored_once_in_shards(
    here: LocalEngine, pool: list[int], score: Any, expected: Any, found: Any
) -> None:
    seen: list[tuple[int, int]] = []

    n_scored = score(here, size=3, on_progress=lambda done, total: seen.append((done, total)))

    assert (n_scored, seen) == (7, [(3, 7), (6, 7), (7, 7)])
    assert found() == expected(pool)
    assert score(here) == 0


def test_an_engine_may_read_ahead_and_answer_in_any_order(
    backwards: Backwards, alike: list[int], score: Any, expected: Any, found: Any
) -> None:
    seen: list[tuple[int, int]] = []

    n_scored = score(backwards, size=4, on_progress=lambda done, total: seen.append((done, total)))

    a, b, c, d, e, f, g = alike
    assert backwards.asked == [[(a,), (b, c), (d,)], [(e,), (f,), (g,)]]
    assert (n_scored, seen) == (7, [(3, 7), (7, 7)])
    assert found() == expected(alike)


def test_another_strategy_reads_what_is_predicted_already(
    here: LocalEngine, backwards: Backwards, pool: list[int], score: Any, found: Any
) -> None:
    score(here, "mnlp")

    n_scored = score(backwards, "entropy")

    assert (n_scored, backwards.asked) == (7, [])
    assert sorted(found("entropy")) == sorted(pool)


@pytest.mark.parametrize("strategy", ["joint_rank", "max_rank"])
def test_a_strategy_that_ranks_finds_in_shards_what_it_finds_in_the_whole_pool(
    here: LocalEngine, alike: list[int], score: Any, expected: Any, found: Any, strategy: str
) -> None:
    assert score(here, strategy, size=2) == 7

    assert found(strategy) == expected(alike, strategy)
    assert score(here, strategy) == 0


def test_a_sample_is_predicted_once_and_not_where_nothing_is_to_be_scored(
    database: Database,
    project: Project,
    backwards: Backwards,
    pool: list[int],
    score: Any,
    found: Any,
) -> None:
    score(backwards, "joint_rank", size=3)
    before = found("joint_rank")
    assert backwards.asked == []  # all was in the sample

    with database.write() as session:
        make_task(session, project.id, studio_id=9, document=make_document("new", "A new rash."))
    n_scored = score(backwards, "joint_rank", size=3)

    assert (n_scored, len(found("joint_rank"))) == (1, len(pool) + 1)
    assert {i: found("joint_rank")[i] for i in pool} == before


def test_a_task_that_comes_after_the_sample_was_drawn_is_scored_by_the_next_pass(
    database: Database, project: Project, here: LocalEngine, score: Any, found: Any
) -> None:
    class Late(Backwards):
        def score(self, version: ModelVersion, shards: Any) -> Iterator[list[ScoredText]]:
            answers = list(here.score(version, shards))
            if not self.asked:
                self.asked = [[(0,)]]
                with database.write() as session:
                    make_task(session, project.id, document=make_document("new", "A new rash."))
            return iter(answers)

    late = Late(here.load(None))  # type: ignore[arg-type]

    assert (score(late, "joint_rank"), found("joint_rank")) == (0, {})
    assert score(here, "joint_rank") == 1


def test_coreset_keeps_away_from_what_is_labelled(
    here: LocalEngine,
    version: ModelVersion,
    database: Database,
    pool: list[int],
    score: Any,
    found: Any,
) -> None:
    score(here, "mnlp")
    with database.read() as session:
        known = sentences_by_id(session, pool)
        stored = predictions_for(session, version.id, [s.text_hash for s in known])
    rows = np.stack([np.frombuffer(stored[s.text_hash].embedding, np.float16) for s in known])

    score(here, "coreset", labelled=rows[2:3].astype(np.float32))

    distances = found("coreset")
    assert min(distances, key=lambda i: distances[i]) == pool[2]
    assert distances[pool[2]] == pytest.approx(0.0, abs=2e-3)
    assert max(distances.values()) > 2e-3


@pytest.mark.usefixtures("pool")
def test_what_is_for_simulations_alone_is_refused_before_anything_is_predicted(
    backwards: Backwards, score: Any
) -> None:
    with pytest.raises(ConfigError, match="bald needs more"):
        score(backwards, "bald")

    assert backwards.asked == []


def test_scoring_that_was_killed_goes_on_where_it_was(
    here: LocalEngine, backwards: Backwards, pool: list[int], score: Any, found: Any
) -> None:
    def die_in_the_second(done: int, _total: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(here, size=3, on_progress=die_in_the_second)
    n_scored = score(backwards, size=3)

    assert n_scored == 1
    assert backwards.asked == [[(pool[6],)]]
    assert sorted(found()) == sorted(pool)


@pytest.mark.usefixtures("pool")
def test_a_model_is_loaded_only_if_there_is_something_to_predict(
    here: LocalEngine, score: Any
) -> None:
    def load(_version: ModelVersion) -> Predictor:
        raise AssertionError("there is nothing to predict")

    score(here)

    assert score(LocalEngine(load=load), "entropy") == 7


def test_shards_may_be_taken_ahead_of_the_work(
    database: Database, project: Project, version: ModelVersion, pool: list[int]
) -> None:
    shards = list(shards_to_score(database, project.id, version.id, strategy="mnlp", size=4))

    assert shards == [pool[:4], pool[4:]]


def test_an_empty_pool_is_scored(here: LocalEngine, score: Any) -> None:
    assert score(here) == 0


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


@pytest.fixture
def know_costs(database: Database, project: Project, version: ModelVersion) -> Any:
    """Keeps figures of what a label costs as if they had been fitted so long after the version."""

    def run(*, seconds: float, explained: float = 0.5) -> None:
        figures = {"option": "2,0.3,3,4", "explained": explained}
        with database.write() as session:
            keep_costs(session, project.id, figures)
            at = version.created_at + timedelta(seconds=seconds)
            session.execute(update(AuditRow).values(at=at))

    return run


def test_utilities_are_weighed_by_the_seconds_known_when_the_version_was_made(
    database: Database, version: ModelVersion, pool: list[int], here: LocalEngine, score: Any,
    expected: Any, found: Any, know_costs: Any,
) -> None:  # fmt: skip
    know_costs(seconds=-1)

    score(here)

    with database.read() as session:
        sentences = sentences_by_id(session, pool)
        stored = predictions_for(session, version.id, [s.text_hash for s in sentences])
    weighed = {}
    for s in sentences:
        p = stored[s.text_hash]
        n_words = p.signals["n_words"]
        takes = 2 + 0.3 * n_words + 3 * len(p.entities) + 4 * len(p.relations)
        weighed[s.id] = pytest.approx(p.signals["mnlp"] * n_words / takes)
    assert found() == weighed
    assert found() != expected(pool)


@pytest.mark.parametrize(
    ("seconds", "explained", "strategy"),
    [(1, 0.5, "mnlp"), (-1, 0.05, "mnlp"), (-1, 0.5, "ltp")],
    ids=["fitted later", "explaining nothing", "no rate"],
)
def test_other_utilities_are_as_without_figures(
    pool: list[int], here: LocalEngine, score: Any, expected: Any, found: Any, know_costs: Any,
    seconds: float, explained: float, strategy: str,
) -> None:  # fmt: skip
    know_costs(seconds=seconds, explained=explained)

    score(here, strategy)

    assert found(strategy) == expected(pool, strategy)


def test_tasks_that_are_documents_are_not_weighed_by_sentence(
    database: Database, pool: list[int], here: LocalEngine, score: Any, expected: Any, found: Any,
    know_costs: Any,
) -> None:  # fmt: skip
    know_costs(seconds=-1)
    with database.write() as session:
        session.execute(update(ProjectRow).values(unit="document"))

    score(here)

    assert found() == expected(pool)
