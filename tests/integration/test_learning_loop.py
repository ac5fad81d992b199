"""The loop without its processes: label, learn, push, correct, learn again, take the gold home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from factories import LINK, TINY_HEADS, make_document
from fake_studio import FakeStudio, make_link, make_region
from tiny_bert import TINY_SCHEMA

from annotator.domain import Document, Entity, Relation
from annotator.errors import NotFoundError
from annotator.formats import read_corpus
from annotator.jobs.housekeeper import Housekeeper
from annotator.jobs.messages import JobQueue
from annotator.jobs.training import execute_run
from annotator.live_settings import LiveSettings
from annotator.services.archive.export import export_gold
from annotator.services.inference import compute
from annotator.services.intake.documents import ingest_documents
from annotator.services.reports.status import project_status
from annotator.services.sync.webhooks import receive_event
from annotator.settings import Settings
from annotator.store.annotations import correction_totals
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project, ensure_project, get_project, link_studio
from annotator.store.runs import claim_run
from annotator.store.selections import latest_choice
from annotator.store.tasks import find_task
from annotator.training import train

OWNER = "host:1"


class Loop:
    """A worker's day, step by step, in this process."""

    def __init__(self, settings: Settings, database: Database, studio: FakeStudio) -> None:
        self.settings = settings
        self.database = database
        self.studio = studio
        self.queue = JobQueue(settings.queue, secret=settings.queue_secret)
        self.housekeeper = Housekeeper(LiveSettings(settings), database, self.queue, OWNER)
        self.housekeeper.client = lambda _project: nullcontext(studio)  # type: ignore[assignment,method-assign]
        self.queue.handle("tend", self.housekeeper.tend)
        self.queue.handle("publish", self.housekeeper.publish)
        self.queue.handle("train", self.train)

    def train(self, run_id: int) -> None:
        with self.database.write() as session:
            run = claim_run(session, run_id, owner=OWNER, lease_s=60)
        if run is not None:
            execute_run(self.settings, self.database, run_id, owner=OWNER)
            self.queue.publish()

    def deliver(self) -> None:
        """Hand over Label Studio's events, as its webhook does."""
        for event in self.studio.events:
            with self.database.write() as session:
                receive_event(session, event)
        self.studio.events.clear()

    def work(self) -> None:
        """Do what there is to do, until there is nothing left."""
        self.queue.tend()
        while (task := self.queue.huey.dequeue()) is not None:
            self.queue.huey.execute(task)


@pytest.fixture
def loop(
    settings: Settings, database: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Loop]:
    monkeypatch.setattr(
        compute.training, "train", lambda *a, **o: train(*a, **o, options=TINY_HEADS)
    )
    with database.write() as session:
        link_studio(session, project.id, LINK)
    quick = settings.model_copy(
        update={"retrain_after": 6, "retrain_share": 0.0, "debounce_s": 0.0, "sync_interval_s": 1e9}
    )
    made = Loop(quick, database, FakeStudio())
    yield made
    made.queue.close()


def make_note(i: int, drug: str = "Aspirin") -> Document:
    text = f"{drug} caused a rash in case {i}."
    start = text.index("rash")
    return make_document(
        f"n{i}",
        text,
        entities=(
            Entity(id="d", type="Drug", start=0, end=len(drug)),
            Entity(id="e", type="Effect", start=start, end=start + 4),
        ),
        relations=(Relation(type="causes", head="d", tail="e"),),
    )


def ingest(loop: Loop, project: Project, notes: list[Document], role: Any) -> None:
    ingest_documents(loop.database, project.id, notes, role=role, holdout_share=0.0, seed=1)


def status(loop: Loop) -> dict[str, Any]:
    with loop.database.read() as session:
        now = get_project(session, "ward")
    return project_status(loop.database, now, loop.settings)


def test_the_loop_learns_pushes_and_learns_again(loop: Loop, project: Project) -> None:
    ingest(loop, project, [make_note(i) for i in range(8)], "gold")
    ingest(loop, project, [make_note(i) for i in range(8, 12)], "holdout")
    ingest(loop, project, [make_note(i, "Ibuprofen") for i in range(20, 32)], "pool")

    loop.work()

    first = status(loop)
    version = first["active_version"]["name"]
    assert (first["last_run"]["state"], first["last_run"]["trigger"]) == ("succeeded", "count")
    assert (first["n_pool"], first["n_gold"], loop.studio.model_version) == (12, 12, version)
    assert len(first["queue"]) == 10
    pushed = [item for request in loop.studio.pushes for item in request]
    assert {item["task"] for item in pushed} == set(range(1, 13))

    # People correct the six tasks that are shown first.
    for one in first["queue"][:6]:
        annotate(loop, one["task"])
    loop.deliver()
    loop.work()

    second = status(loop)
    assert second["last_run"]["id"] == first["last_run"]["id"] + 1
    assert second["last_run"]["state"] in {"succeeded", "held"}
    assert (second["n_gold"], second["n_new_sentences"]) == (18, 0)
    assert (second["inbox"]["new"], second["inbox"]["failed"]) == (0, 0)
    with loop.database.read() as session:
        task = find_task(session, project.id, studio_id=first["queue"][0]["task"])
        why = latest_choice(session, task.id)
        totals = correction_totals(session, project.id)
    assert (why.version, why.choice.rank, task.state) == (version, 0, "labelled")
    assert totals["entities_added"] + totals["entities_kept"] >= 6
    assert json.dumps(second)
    assert "Ibuprofen caused" not in json.dumps(second)


def annotate(loop: Loop, task_id: int) -> None:
    (prediction,) = loop.studio.predictions(task_id)
    text = next(t["data"]["text"] for t in loop.studio.tasks(1) if t["id"] == task_id)
    start = text.index("rash")
    result = [
        make_region("d", 0, 9, "Drug", text=text),
        make_region("e", start, start + 4, "Effect", text=text),
        make_link("d", "e", "causes"),
    ]
    loop.studio.annotate(task_id, result, prediction=prediction, parent_prediction=prediction["id"])


def test_a_day_without_any_webhook_ends_the_same(loop: Loop, project: Project) -> None:
    ingest(loop, project, [make_note(i) for i in range(8)], "gold")
    ingest(loop, project, [make_note(i, "Ibuprofen") for i in range(20, 26)], "pool")
    loop.work()
    for task_id in range(1, 7):
        annotate(loop, task_id)
    loop.studio.events.clear()

    loop.housekeeper.tend(True)

    assert status(loop)["n_gold"] == 14


# ------------------------------------------------------------------ gold goes home


@pytest.mark.parametrize(("name", "file"), [("jsonl", "gold.jsonl"), ("bioes", "gold.tsv")])
def test_what_was_exported_is_imported_as_the_same_gold(
    database: Database, project: Project, tmp_path: Path, name: str, file: str
) -> None:
    notes = [make_note(i) for i in range(5)]
    ingest_documents(database, project.id, notes, role="gold", holdout_share=0.4, seed=1)
    out = tmp_path / "out"

    report = export_gold(database, project.id, name=name, out=out, program_version="test")

    corpus = read_corpus(name, out / file)
    with database.write() as session:
        other = ensure_project(session, name="other", unit="sentence")
    ingest_documents(database, other.id, corpus.documents, role="gold", holdout_share=0.0, seed=1)
    assert (report.n_documents, report.n_entities, report.n_relations) == (5, 10, 5)
    assert gold(database, other) == gold(database, project)


def gold(database: Database, project: Project) -> list[Any]:
    with database.read() as session:
        return sorted(
            (
                unit.document.text.split(),
                sorted((e.type, unit.document.mention(e)) for e in unit.document.entities),
                sorted(
                    (r.type, *(ends(unit.document)[one] for one in (r.head, r.tail)))
                    for r in unit.document.relations
                ),
            )
            for unit in gold_units(session, project.id)
        )


def ends(document: Document) -> dict[str, str]:
    return {entity.id: document.mention(entity) for entity in document.entities}


def test_an_export_leaves_out_nothing_that_its_format_can_say(
    database: Database, project: Project, tmp_path: Path
) -> None:
    entities = (
        Entity(id="a", type="Drug", start=0, end=7),
        Entity(id="b", type="Effect", start=3, end=18),
    )
    odd = make_document("odd", entities=entities, relations=())
    ingest_documents(database, project.id, [odd], role="gold", holdout_share=0.0, seed=1)

    reports = {
        name: export_gold(
            database, project.id, name=name, out=tmp_path / name, program_version="test"
        )
        for name in ("jsonl", "bioes")
    }

    assert reports["jsonl"].not_expressible == 0
    assert reports["bioes"].not_expressible > 0
    manifest = json.loads((tmp_path / "jsonl" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["schema"]["entity_types"] == list(TINY_SCHEMA.entity_types)


def test_without_gold_there_is_nothing_to_export(
    database: Database, project: Project, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="no gold to export yet"):
        export_gold(database, project.id, name="jsonl", out=tmp_path, program_version="test")
