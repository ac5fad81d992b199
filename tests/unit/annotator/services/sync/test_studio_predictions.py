from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from factories import make_document
from fake_studio import FakeStudio, make_region
from run_world import register

from annotator.model import Predictor
from annotator.services.intake.documents import ingest_documents
from annotator.services.models.registry import promote_version
from annotator.services.queue.order import QueueSettings
from annotator.services.queue.publish import PublishReport, publish_version, verify_next
from annotator.services.sync import predictions
from annotator.services.sync.predictions import prune_predictions
from annotator.services.sync.upload import upload_tasks
from annotator.store.database import Database
from annotator.store.projects import Project, latest_audit
from annotator.store.versions import ModelVersion, get_version, predictions_for, utilities

QUEUE = QueueSettings(strategy="mnlp", batch=5, random_share=0.2, per_document=3, seed=1)
TEXTS = [f"Aspirin induced severe rash in case {i}." for i in range(4)]


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


@pytest.fixture
def publish(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    predictor: Predictor,
    tiny_model: Path,
) -> Any:
    """Promotes a version and publishes it; four tasks are open when the first one is."""
    documents = [make_document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    ingest_documents(database, linked.id, documents, role="pool", holdout_share=0.0, seed=1)
    upload_tasks(database, linked, studio)

    def run(name: str) -> PublishReport:
        known = versions.get(name)
        if known is None:
            versions[name] = known = register(database, linked, tiny_model, name=name)
        else:
            promote_version(database, linked.id, name, actor="test")
        return publish_version(database, linked, studio, known, lambda: predictor, queue=QUEUE)

    versions: dict[str, ModelVersion] = {}
    run.versions = versions  # type: ignore[attr-defined]
    return run


def there(studio: FakeStudio) -> list[str]:
    """The versions that Label Studio has predictions of, one a prediction."""
    return sorted(p["model_version"] for t in studio.tasks(1) for p in t["predictions"])


def rows(database: Database, version: ModelVersion) -> tuple[int, int]:
    from annotator.store.documents import hash_text

    with database.read() as session:
        hashes = [hash_text(text) for text in TEXTS]
        found = utilities(session, version.id, strategy="mnlp", sentence_ids=range(100))
        return len(predictions_for(session, version.id, hashes)), len(found)


def test_the_version_in_use_and_the_one_before_keep_their_predictions(
    database: Database, linked: Project, studio: FakeStudio, publish: Any
) -> None:
    for name in ("v1", "v2", "v3"):
        publish(name)

    report = prune_predictions(database, linked, studio, keep=2)

    assert (report.n_tasks, report.n_rows, report.n_kept) == (4, 8, 0)
    assert there(studio) == ["v2"] * 4 + ["v3"] * 4
    assert [rows(database, v) for v in publish.versions.values()] == [(0, 0), (4, 4), (4, 4)]
    assert prune_predictions(database, linked, studio, keep=2).is_done


def test_going_back_to_the_version_before_pushes_nothing(
    database: Database, linked: Project, studio: FakeStudio, publish: Any
) -> None:
    for name in ("v1", "v2", "v3"):
        publish(name)
    prune_predictions(database, linked, studio, keep=2)

    report = publish("v2")

    assert (report.n_pushed, report.selected, studio.model_version) == (0, True, "v2")


def test_going_back_further_pushes_what_was_pruned_once(
    database: Database, linked: Project, studio: FakeStudio, publish: Any
) -> None:
    for name in ("v1", "v2", "v3"):
        publish(name)
    prune_predictions(database, linked, studio, keep=2)

    report = publish("v1")

    assert report.n_pushed == 4
    assert there(studio).count("v1") == 4


@pytest.mark.parametrize("as_object", [False, True], ids=["id", "object"])
def test_what_an_annotation_began_with_stays(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    publish: Any,
    pull: Any,
    as_object: bool,
) -> None:
    publish("v1")
    began_with = studio.predictions(1)[0]["id"]
    region = make_region("a", 0, 7, "Drug", text=TEXTS[0])
    studio.annotate(1, [region], parent_prediction={"id": began_with} if as_object else began_with)
    pull()
    for name in ("v2", "v3"):
        publish(name)

    report = prune_predictions(database, linked, studio, keep=2)

    assert report.n_kept == 1
    assert [p["id"] for p in studio.predictions(1) if p["model_version"] == "v1"] == [began_with]
    assert there(studio).count("v1") == 1


def test_a_round_is_bounded_and_the_next_one_goes_on(
    database: Database,
    linked: Project,
    studio: FakeStudio,
    publish: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predictions, "_TASKS", 3)
    monkeypatch.setattr(predictions, "_ROWS", 4)
    monkeypatch.setattr(predictions, "_ROWS_AT_ONCE", 2)
    for name in ("v1", "v2"):
        publish(name)

    reports = [prune_predictions(database, linked, studio, keep=1) for _ in range(3)]

    assert [(r.n_tasks, r.n_rows) for r in reports] == [(3, 4), (1, 4), (0, 0)]
    assert reports[-1].is_done
    assert there(studio) == ["v2"] * 4


def test_tasks_that_are_gone_there_hold_nothing_up(
    database: Database, linked: Project, studio: FakeStudio, publish: Any
) -> None:
    for name in ("v1", "v2"):
        publish(name)
    studio.delete_task(2)

    prune_predictions(database, linked, studio, keep=1)

    assert there(studio) == ["v2"] * 3
    assert prune_predictions(database, linked, studio, keep=1).is_done


# ------------------------------------------------------------------ what is served


@pytest.fixture
def check(database: Database, linked: Project, studio: FakeStudio) -> Any:
    """Asks Label Studio for its next task under a version that was published."""

    def run(name: str) -> str | None:
        with database.read() as session:
            version = get_version(session, linked.id, name)
        return verify_next(database, linked, studio, version)

    return run


def test_publishing_opens_no_task_for_it_would_be_locked(
    database: Database, linked: Project, publish: Any
) -> None:
    publish("v1")

    with database.read() as session:
        assert latest_audit(session, linked.id, "verify_next") is None


def test_label_studio_serves_our_first_task(
    database: Database, linked: Project, publish: Any, check: Any
) -> None:
    publish("v1")

    assert check("v1") is None

    with database.read() as session:
        found = latest_audit(session, linked.id, "verify_next")
    assert found is not None
    assert found[1]["problem"] is None
    assert found[1]["task"] == found[1]["expected"]


def test_a_task_that_somebody_has_open_is_told_apart(
    studio: FakeStudio, publish: Any, check: Any
) -> None:
    publish("v1")
    studio.locked = max(studio.task_ids(1), key=lambda i: studio.predictions(i)[0]["score"])

    problem = check("v1")

    assert problem is not None
    assert f"serves task {studio.locked}, " in problem
    assert "opened that one before" in problem


def test_another_sampling_is_named(studio: FakeStudio, publish: Any, check: Any) -> None:
    studio.sampling = "Sequential sampling"
    publish("v1")
    studio.locked = max(studio.task_ids(1), key=lambda i: studio.predictions(i)[0]["score"])

    problem = check("v1")

    assert problem is not None
    assert "sampling is 'Sequential sampling'; run annotator connect again" in problem
