from __future__ import annotations

from pathlib import Path

import pytest
from factories import make_document, make_task
from run_world import register

from annotator.active import get_strategy
from annotator.model import Predictor
from annotator.services import scoring
from annotator.services.scoring import score_pool, score_sentences, shards_to_score
from annotator.store.database import Database
from annotator.store.documents import sentences_of
from annotator.store.pool import sentences_by_id
from annotator.store.projects import Project
from annotator.store.tasks import mark_tasks_deleted
from annotator.store.versions import ModelVersion, predictions_for, utilities

FIVE = " ".join(f"Aspirin caused rash {i}." for i in range(5))


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


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


def test_every_sentence_of_an_open_task_is_scored_once_in_shards(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    pool: list[int],
) -> None:
    seen: list[tuple[int, int]] = []

    n_scored = score_pool(
        database,
        project.id,
        version.id,
        lambda: predictor,
        strategy="mnlp",
        size=3,
        on_progress=lambda done, total: seen.append((done, total)),
    )

    assert (n_scored, seen) == (7, [(3, 7), (6, 7), (7, 7)])
    with database.read() as session:
        sentences = sentences_by_id(session, pool)
        found = utilities(session, version.id, strategy="mnlp", sentence_ids=range(100))
        stored = predictions_for(session, version.id, [s.text_hash for s in sentences])
    mnlp = get_strategy("mnlp")
    assert found == {
        s.id: pytest.approx(mnlp.score(stored[s.text_hash].signals)) for s in sentences
    }
    assert score_pool(database, project.id, version.id, lambda: predictor, strategy="mnlp") == 0


def test_another_strategy_reads_what_is_predicted_already(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    pool: list[int],
) -> None:
    first = score_sentences(database, version.id, predictor, pool, strategy="mnlp")
    second = score_sentences(database, version.id, predictor, pool, strategy="entropy")

    assert (first, second) == (7, 0)
    with database.read() as session:
        found = utilities(session, version.id, strategy="entropy", sentence_ids=pool)
    assert len(found) == 7


def test_scoring_that_was_killed_goes_on_where_it_was(
    database: Database,
    project: Project,
    version: ModelVersion,
    predictor: Predictor,
    pool: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shards: list[list[int]] = []

    def die_in_the_second(*arguments: object, **options: object) -> None:
        shards.append(arguments[3])  # type: ignore[arg-type]
        if len(shards) == 2:
            raise KeyboardInterrupt
        score_sentences(*arguments, **options)  # type: ignore[arg-type]

    def run() -> None:
        score_pool(database, project.id, version.id, lambda: predictor, strategy="mnlp", size=3)

    monkeypatch.setattr(scoring, "score_sentences", die_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        run()
    run()

    assert shards == [pool[:3], pool[3:6], pool[3:6], pool[6:]]


def test_shards_may_be_taken_ahead_of_the_work(
    database: Database, project: Project, version: ModelVersion, pool: list[int]
) -> None:
    shards = list(shards_to_score(database, project.id, version.id, strategy="mnlp", size=4))

    assert shards == [pool[:4], pool[4:]]


def test_an_empty_pool_is_scored(
    database: Database, project: Project, version: ModelVersion, predictor: Predictor
) -> None:
    assert score_pool(database, project.id, version.id, lambda: predictor, strategy="mnlp") == 0
