"""Before the first model: the order that goes to Label Studio, and what a lexicon draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_document
from fake_studio import FakeStudio, make_region
from run_world import register
from tiny_bert import TINY_SCHEMA

from annotator.domain import Document
from annotator.errors import ConfigError, StudioError
from annotator.model import Predictor
from annotator.model.untrained import load_untrained
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue import cold_start
from annotator.services.queue.cold_start import (
    Warmup,
    WarmupReport,
    choose_first,
    is_warmup_due,
    publish_warmup,
)
from annotator.services.queue.lexicon import drop_lexicon, keep_lexicon, load_lexicon, warmup_name
from annotator.services.queue.order import QueueSettings
from annotator.services.queue.publish import publish_version
from annotator.services.sync.upload import upload_tasks
from annotator.store.annotations import correction_totals
from annotator.store.cold_start import waiting_tasks
from annotator.store.database import Database
from annotator.store.gold import count_gold
from annotator.store.projects import Project
from annotator.store.selections import latest_choice
from annotator.store.tasks import find_task
from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction

Warm = Callable[..., WarmupReport]
TERMS = "ibuprofen\tDrug\nsevere rash\tEffect\nrash\tEffect\n"


def make_notes(n: int) -> list[Document]:
    return [make_document(f"n{i}", f"The patient number {i} lives in paris.") for i in range(n)]


@pytest.fixture(scope="module")
def untrained(tiny_encoder: Path) -> Predictor:
    return load_untrained(str(tiny_encoder))


@pytest.fixture
def pool(database: Database, linked: Project, studio: FakeStudio) -> Project:
    """Forty tasks without anything to label, three with; a fifth of the notes in the hold-out."""
    notes = [
        *make_notes(40),
        make_document("a", "😀 Severe  Rash after\r\nIBUPROFEN, no rash."),
        make_document("b", "Fever was treated with ibuprofen ."),
        make_document("c", "Ibuprofen once more."),
    ]
    ingest_documents(database, linked.id, notes, role="pool", holdout_share=0.2, seed=4)
    upload_tasks(database, linked, studio)
    return linked


@pytest.fixture
def warm(
    database: Database, pool: Project, studio: FakeStudio, untrained: Predictor, tmp_path: Path
) -> Warm:
    """Publishes a warm-up of four."""

    def run(n: int = 4, seed: int = 1) -> WarmupReport:
        how = Warmup(
            n=n,
            name=warmup_name(tmp_path),
            seed=seed,
            encoder=lambda: untrained,
            lexicon=lambda: load_lexicon(tmp_path),
        )
        return publish_warmup(database, pool, studio, how)

    return run


@pytest.fixture
def lexicon(tmp_path: Path) -> Path:
    """A lexicon in the project's folder."""
    source = tmp_path / "terms.tsv"
    source.write_text(TERMS, encoding="utf-8")
    keep_lexicon(tmp_path, source, TINY_SCHEMA)
    return source


def test_the_first_tasks_get_an_order_that_label_studio_serves(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm
) -> None:
    report = warm()

    (items,) = studio.pushes
    assert (report.n_placed, len(items), studio.model_version) == (20, 20, "no-model-yet")
    assert all(item["result"] == [] for item in items)
    assert [item["score"] for item in items] == sorted({item["score"] for item in items})
    served = studio.next_task(1)
    assert served is not None
    assert served["id"] == items[0]["task"]


def test_each_place_is_logged_with_its_reason(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm
) -> None:
    warm()

    logged = []
    with database.read() as session:
        for item in studio.pushes[0]:
            task = find_task(session, pool.id, studio_id=item["task"])
            assert task is not None
            choice = latest_choice(session, task.id)
            assert choice is not None
            assert (choice.choice.reason == "holdout") == (task.split == "holdout")
            logged.append(choice)
    assert [one.choice.rank for one in logged] == list(range(20))
    assert {one.choice.reason for one in logged} == {"warmup", "holdout"}
    assert {(one.version, one.strategy, one.seed) for one in logged} == {(None, "no-model-yet", 1)}


def test_the_same_seed_is_the_same_order_and_another_one_is_not(
    database: Database, pool: Project, untrained: Predictor
) -> None:
    with database.read() as session:
        waiting = waiting_tasks(session, pool.id, name="no-model-yet")

    first, again, other = (
        choose_first(
            database,
            pool.id,
            waiting,
            n=4,
            encoder=lambda: untrained,
            lexicon=None,
            rng=np.random.default_rng(seed),
        )
        for seed in (1, 1, 2)
    )

    assert first == again
    assert first != other
    assert len({place.task_id for place in first}) == 20


def test_the_order_goes_on_when_little_of_it_is_left(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm, pull: Any
) -> None:
    warm()
    nothing = warm()
    done = [item["task"] for item in studio.pushes[0][:17]]
    for task in done:
        studio.annotate(task, [])
    pull()

    more = warm()

    first, second = studio.pushes
    assert (nothing.n_placed, more.n_placed) == (0, 20)
    assert not {item["task"] for item in first} & {item["task"] for item in second}
    assert max(item["score"] for item in first) < min(item["score"] for item in second) < 1


def test_the_last_task_ends_it(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm
) -> None:
    report = warm(n=50)

    assert report.n_placed == 43
    assert not is_warmup_due(database, pool.id, name="no-model-yet", n=50)


def test_without_a_warm_up_nothing_is_pushed(warm: Warm, studio: FakeStudio) -> None:
    assert warm(n=0).n_placed == 0
    assert (studio.pushes, studio.model_version) == ([], "")


def test_a_push_that_was_killed_is_not_repeated(
    warm: Warm, studio: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cold_start, "add_choices", die)
        with pytest.raises(KeyboardInterrupt):
            warm()

    assert warm().n_placed == 20
    assert all(len(task["predictions"]) <= 1 for task in studio.tasks(1))
    assert studio.model_version == "no-model-yet"


def test_what_a_killed_push_left_is_found_wherever_it_stands_in_the_next_one(
    pool: Project, studio: FakeStudio, warm: Warm
) -> None:
    left = [task["id"] for task in studio.tasks(1)][3:40:4]
    studio.push_predictions(
        1, [{"task": i, "score": 0.5, "model_version": "no-model-yet", "result": []} for i in left]
    )

    warm()

    assert all(len(task["predictions"]) <= 1 for task in studio.tasks(1))


def test_predictions_that_label_studio_refuses_are_told(
    warm: Warm, studio: FakeStudio, pool: Project
) -> None:
    studio.refused_tasks = set(range(100))

    with pytest.raises(StudioError, match="refuses all 20 predictions"):
        warm()


# ------------------------------------------------------------------ a lexicon


def test_terms_are_drawn_exactly_and_marked(
    studio: FakeStudio, warm: Warm, lexicon: Path, tmp_path: Path
) -> None:
    report = warm(n=9)

    items = {item["task"]: item for item in studio.pushes[0]}
    texts = {task["id"]: task["data"]["text"] for task in studio.tasks(1)}
    regions = [(texts[task], one) for task, item in items.items() for one in item["result"]]
    drawn = {text[r["value"]["start"] : r["value"]["end"]] for text, r in regions}
    assert {"Severe  Rash", "IBUPROFEN", "rash"} <= drawn
    assert all(r["meta"] == {"text": ["lexicon"]} and "score" not in r for _, r in regions)
    assert report.n_regions == len(regions) == 5
    assert studio.model_version == warmup_name(tmp_path)
    config = parse_config(studio.config_xml)
    problems = [validate_prediction(i, text=texts[t], config=config) for t, i in items.items()]
    assert problems == [[]] * len(items)


def test_types_that_nobody_has_labelled_come_early_but_not_alone(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm, lexicon: Path
) -> None:
    report = warm()

    with database.read() as session:
        tasks = [find_task(session, pool.id, studio_id=i["task"]) for i in studio.pushes[0][:10]]
        choices = [latest_choice(session, task.id) for task in tasks if task]
    reasons = [one.choice.reason for one in choices if one]
    assert report.n_seeds == reasons.count("seed") == 3
    assert reasons.count("warmup") >= 4
    assert {t for c in choices if c for t in c.choice.parts.get("types", ())} == {"Drug", "Effect"}


def test_a_type_with_labels_enough_is_not_looked_for(
    database: Database, pool: Project, warm: Warm, lexicon: Path
) -> None:
    gold = [make_document(f"g{i}", entities=None) for i in range(10)]
    ingest_documents(database, pool.id, gold, role="gold", holdout_share=0.0, seed=1)

    assert warm().n_seeds == 0


def test_another_lexicon_draws_anew_and_none_takes_them_away(
    studio: FakeStudio, warm: Warm, lexicon: Path, tmp_path: Path
) -> None:
    warm()
    first = studio.model_version
    lexicon.write_text("paris\tDrug\n", encoding="utf-8")
    keep_lexicon(tmp_path, lexicon, TINY_SCHEMA)
    warm()
    second = studio.model_version
    drop_lexicon(tmp_path)
    warm()

    assert len({first, second, studio.model_version}) == 3
    assert studio.model_version == "no-model-yet"
    assert any(item["result"] for item in studio.pushes[1])
    assert not any(item["result"] for item in studio.pushes[2])


def test_a_lexicon_is_no_gold_and_counts_in_no_share(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm, lexicon: Path, pull: Any
) -> None:
    warm(n=9)
    before = count_gold_of(database, pool)
    item = next(item for item in studio.pushes[0] if item["result"])
    text = next(t["data"]["text"] for t in studio.tasks(1) if t["id"] == item["task"])
    stored = studio.predictions(item["task"])[0]
    studio.annotate(
        item["task"], [make_region("x", 0, 1, "Drug", text=text)], parent_prediction=stored["id"]
    )
    pull()

    with database.read() as session:
        totals = correction_totals(session, pool.id)
    assert before == 0
    assert count_gold_of(database, pool) == 1
    assert not any(totals.values())


@pytest.mark.usefixtures("lexicon")
def test_what_is_accepted_in_bulk_of_a_lexicon_or_of_nothing_is_no_label(
    database: Database, pool: Project, studio: FakeStudio, warm: Warm, pull: Any
) -> None:
    warm()
    (items,) = studio.pushes
    for item in items:
        (stored,) = studio.predictions(item["task"])
        studio.annotate(
            item["task"], item["result"], lead_time=None, parent_prediction=stored["id"]
        )
    pull()

    assert any(item["result"] for item in items)
    assert not all(item["result"] for item in items)
    assert count_gold_of(database, pool) == 0


def count_gold_of(database: Database, project: Project) -> int:
    with database.read() as session:
        counts = count_gold(session, project.id)
    return counts["train"] + counts["holdout"]


def test_a_model_takes_the_place_of_the_warm_up(
    database: Database,
    pool: Project,
    studio: FakeStudio,
    warm: Warm,
    lexicon: Path,
    tiny_model: Path,
) -> None:
    warm()
    version = register(database, pool, tiny_model, name="ward-1")
    queue = QueueSettings(strategy="mnlp", batch=5, random_share=0.2, per_document=3, seed=1)

    report = publish_version(
        database,
        pool,
        studio,
        version,
        lambda: Predictor.load(tiny_model, device="cpu"),
        queue=queue,
    )

    assert report.n_pushed == 43
    assert studio.model_version == "ward-1"


def test_a_lexicon_needs_labels_to_be_checked_against(tmp_path: Path) -> None:
    source = tmp_path / "terms.tsv"
    source.write_text(TERMS, encoding="utf-8")

    with pytest.raises(ConfigError, match="annotator connect"):
        keep_lexicon(tmp_path, source, None)


def test_what_is_kept_is_what_was_read(tmp_path: Path, lexicon: Path) -> None:
    kept = load_lexicon(tmp_path)

    assert kept is not None
    assert (len(kept), kept.types) == (3, {"Drug", "Effect"})
    assert warmup_name(tmp_path).startswith("lexicon-")
    assert not list(tmp_path.glob("*.new"))
