"""The acceptance checklist of the contract with Label Studio, by its numbers: recorded traffic.

What other tests show is not repeated here; what needs a real server is under ``e2e``.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backend_world import BASIC, CONFIG_XML, World, open_world
from factories import LINK
from fake_studio import FakeStudio, make_region
from flask.testing import FlaskClient
from hard_annotation import FACTS, FLAT_FACTS, RESULT, TEXT, facts_of

from annotator.domain import Document
from annotator.formats import read_corpus
from annotator.services.archive.export import export_gold
from annotator.services.reports.status import accepted_shares
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.pull import reconcile
from annotator.services.sync.webhooks import process_inbox
from annotator.store.annotations import correction_totals, current_revision
from annotator.store.gold import count_gold, gold_units
from annotator.store.projects import Project, StudioLink, get_project, link_studio
from annotator.store.snapshots import n_new_sentences
from annotator.store.tasks import count_tasks
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import parse_config

RECORDED = json.loads(
    (Path(__file__).parent / "recorded" / "backend_requests.json").read_text(encoding="utf-8")
)
EVENTS = json.loads(
    (Path(__file__).parent / "recorded" / "inbox_events.json").read_text(encoding="utf-8")
)
SPLIT = SplitRule(holdout_share=0.0, seed=1)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A project that is connected to the Label Studio of the recording; it has no model."""
    with open_world(tmp_path, version=None) as opened:
        with opened.database.write() as session:
            link_studio(session, opened.project_id, LINK)
        yield opened


@pytest.fixture
def client(world: World) -> FlaskClient:
    """Label Studio's connector, with its credentials."""
    client = world.client()
    client.environ_base["HTTP_AUTHORIZATION"] = BASIC["Authorization"]
    return client


def project_of(world: World) -> Project:
    with world.database.read() as session:
        return get_project(session, world.settings.project)


def play(world: World, *events: dict[str, Any]) -> None:
    """Send events to the backend, as Label Studio does, and work them off."""
    for event in events:
        answer = world.client().post("/webhook", json=event, headers=BASIC)
        assert answer.status_code in (200, 201), answer.json
    process_inbox(world.database, project_of(world), split=SPLIT)


def play_recorded_day(world: World) -> None:
    """Play the whole recording, beginning with its configuration."""
    first = {"action": "PROJECT_UPDATED", "project": EVENTS[0]["body"]["project"]}
    play(world, first)
    play(world, *(event["body"] for event in EVENTS))


def revision(world: World, annotation: int) -> tuple[str, bool, int | None, float | None]:
    """Return state, whether it was accepted in bulk, parent prediction and lead time."""
    with world.database.read() as session:
        row = current_revision(
            session, world.project_id, source="studio", external_id=str(annotation)
        )
        assert row is not None
        return row.state, row.bulk_created, row.parent_prediction, row.lead_time_s


def gold(world: World) -> list[Document]:
    with world.database.read() as session:
        return [unit.document for unit in gold_units(session, world.project_id)]


# ---------------------------------------------------------------- 1: quick, whatever happens


@pytest.mark.parametrize("name", ["/health", "/setup"])
def test_1_an_answer_costs_less_than_50_ms_of_the_processor(
    client: FlaskClient, world: World, name: str
) -> None:
    world.register("tiny-1")
    world.models.refresh()
    recorded = next(one for one in RECORDED if one["path"] == name)
    costs = []

    for _ in range(21):
        before = time.thread_time()  # whatever else this machine does
        client.open(name, method=recorded["method"], json=recorded["body"] or None)
        costs.append(time.thread_time() - before)

    assert statistics.median(costs) < 0.05


# ---------------------------------------------------------------- 5: events


def test_5_an_event_is_stored_in_less_than_50_ms_of_the_processor(client: FlaskClient) -> None:
    event = next(one for one in EVENTS if one["name"] == "08-annotation-create")["body"]
    costs = []

    for i in range(21):
        other = {**event, "annotation": {**event["annotation"], "id": 100 + i}}
        before = time.thread_time()
        assert client.post("/webhook", json=other).status_code == 201
        costs.append(time.thread_time() - before)

    assert statistics.median(costs) < 0.05


# ---------------------------------------------------------------- 7: what an annotation is


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (2, ("skipped", False, 4, 4.4)),
        (3, ("submitted", True, 6, None)),
        (4, ("submitted", True, 1, None)),
        (1, ("deleted", False, None, None)),
    ],
    ids=["skipped", "accepted in bulk", "empty and accepted in bulk", "deleted"],
)
def test_7_recorded_annotations_are_told_apart(
    world: World, annotation: int, expected: tuple[Any, ...]
) -> None:
    play_recorded_day(world)

    assert revision(world, annotation) == expected


def test_7_only_what_was_submitted_is_learnt_from(world: World) -> None:
    play_recorded_day(world)

    with world.database.read() as session:
        counts = count_gold(session, world.project_id)
        n_new, _, _ = n_new_sentences(session, world.project_id)
        accepted = correction_totals(session, world.project_id)

    # The bulk accepts of tasks 5 and 6: one of them without any label, and gold all the same.
    assert counts == {"train": 2, "holdout": 0, "in_bulk": 2, "skipped": 1}
    assert [len(document.entities) for document in gold(world)] == [3, 0]
    assert n_new > 0
    assert accepted == {}


def test_7_a_person_who_only_opens_a_task_leaves_no_annotation(world: World) -> None:
    # A draft, and a skip that is taken back, send nothing; the pull sees tasks without annotation.
    studio = FakeStudio()
    task = studio.add_task(text=TEXT)
    skipped = studio.annotate(task, RESULT, skip=True)
    studio.config_xml = CONFIG_XML
    reconcile(world.database, project_of(world), studio, split=SPLIT)
    studio._tasks[task]["drafts"] = [{"id": 1, "result": RESULT, "annotation": None}]
    studio.delete_annotation(skipped, silent=True)

    reconcile(world.database, project_of(world), studio, split=SPLIT)

    assert gold(world) == []
    assert revision(world, skipped)[0] == "deleted"
    with world.database.read() as session:
        assert count_tasks(session, world.project_id)["open"] == 1


def test_7_an_accepted_task_that_a_person_opens_and_submits_is_no_bulk_accept(
    world: World,
) -> None:
    studio = FakeStudio()
    studio.config_xml = CONFIG_XML
    task = studio.add_task(text="Aspirin.")
    region = make_region("a", 0, 7, "Drug", text="Aspirin.")
    accepted = studio.annotate(task, [region], lead_time=None, parent_prediction=7)
    reconcile(world.database, project_of(world), studio, split=SPLIT)
    before = revision(world, accepted)

    studio.update(accepted, [{**region, "origin": "prediction"}], lead_time=3.0)
    reconcile(world.database, project_of(world), studio, split=SPLIT)

    assert (before[1], revision(world, accepted)[1]) == (True, False)


@pytest.mark.parametrize("starred", [False, True], ids=["the latest", "the ground truth"])
def test_7_of_two_annotators_of_one_task_one_decision_is_gold(world: World, starred: bool) -> None:
    studio = FakeStudio()
    studio.config_xml = CONFIG_XML
    task = studio.add_task(text="Aspirin.")
    drug = [make_region("a", 0, 7, "Drug", text="Aspirin.")]
    effect = [make_region("a", 0, 7, "Effect", text="Aspirin.")]
    studio.annotate(task, drug, completed_by=1, ground_truth=starred)
    studio.annotate(task, effect, completed_by=2)

    reconcile(world.database, project_of(world), studio, split=SPLIT)

    (document,) = gold(world)
    assert [e.type for e in document.entities] == ["Drug" if starred else "Effect"]
    with world.database.read() as session:
        rows = [
            current_revision(session, world.project_id, source="studio", external_id=str(i))
            for i in (1, 2)
        ]
        assert [row and (row.annotator, row.ground_truth) for row in rows] == [
            ("1", starred),
            ("2", False),
        ]


# ---------------------------------------------------------------- 8: there and back again


def hard_event(**project: Any) -> dict[str, Any]:
    """The hard annotation in a recorded event."""
    event = next(one for one in EVENTS if one["name"] == "08-annotation-create")["body"]
    known = {**event["project"], "label_config": CONFIG_XML, **project}
    return {
        "action": event["action"],
        "project": known,
        "task": {**event["task"], "id": 40, "data": {"text": TEXT}},
        "annotation": {**event["annotation"], "id": 40, "task": 40, "result": RESULT},
    }


def test_8_all_of_a_hard_annotation_is_gold(world: World) -> None:
    play(world, hard_event())

    (document,) = gold(world)

    assert document.text == TEXT
    assert facts_of(document) == FACTS


def test_8_a_lossless_export_gives_it_back_and_label_studio_takes_it(
    world: World, tmp_path: Path
) -> None:
    play(world, hard_event())
    report = export_gold(
        world.database, world.project_id, name="jsonl", out=tmp_path / "out", program_version="t"
    )

    (document,) = read_corpus("jsonl", tmp_path / "out" / "gold.jsonl").documents

    config = parse_config(CONFIG_XML.replace("</Labels>", '<Label value="Mystery"/></Labels>'))
    result = labels_to_result(document.entities, document.relations, text=TEXT, config=config)
    again = result_to_labels(result, text=TEXT, config=config)
    rebuilt = Document(id="again", text=TEXT, entities=again.entities, relations=again.relations)
    assert report.not_expressible == 0
    assert (document.text, facts_of(document)) == (TEXT, FACTS)
    assert (facts_of(rebuilt), again.issues) == (FACTS, ())


def test_8_bioes_gives_back_what_it_can_say_and_lists_the_rest(
    world: World, tmp_path: Path
) -> None:
    play(world, hard_event())
    out = tmp_path / "out"
    report = export_gold(
        world.database, world.project_id, name="bioes", out=out, program_version="t"
    )

    (document,) = read_corpus("bioes", out / "gold.tsv").documents
    listed = json.loads((out / "alignment.json").read_text(encoding="utf-8"))

    assert document.text == TEXT
    assert FLAT_FACTS <= facts_of(document) <= FACTS
    n_left_out = len(FACTS) - len(facts_of(document))
    assert report.not_expressible == n_left_out == len(listed)


# ---------------------------------------------------------------- 10: what people correct


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("38-ui-submit-unchanged", {"entities": 1.0, "relations": 1.0}),
        # Of 6 entities one was relabelled and one deleted, of 4 relations one.
        ("39-ui-submit-edited", {"entities": 0.6667, "relations": 0.75}),
    ],
)
def test_10_what_was_done_in_the_browser_is_reported_as_shares(
    world: World, name: str, shares: dict[str, float]
) -> None:
    seen = json.loads((Path(__file__).parent / "recorded" / f"{name}.json").read_text("utf-8"))
    event = next(one for one in EVENTS if one["name"] == "08-annotation-create")["body"]
    result, prediction = seen["submitted"]["result"], seen["prediction"]
    given = {"parent_prediction": 9, "prediction": {"id": 9, **prediction}, "result": result}

    play(
        world,
        {"action": "PROJECT_UPDATED", "project": event["project"]},
        {
            **event,
            "task": {**event["task"], "data": {"text": seen["task_text"]}},
            "annotation": {**event["annotation"], **given},
        },
    )

    with world.database.read() as session:
        assert accepted_shares(session, world.project_id) == shares


# ---------------------------------------------------------------- 11: tokens


def test_11_the_token_that_setup_brings_is_nowhere_to_be_found(
    client: FlaskClient, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    token = "0123456789abcdef" * 2 + "01234567"
    recorded = next(one for one in RECORDED if one["path"] == "/setup")

    answer = client.post("/setup", json={**recorded["body"], "access_token": token})

    files = [file for file in world.settings.home.rglob("*") if file.is_file()]
    assert answer.status_code == 200
    assert token not in answer.text + "".join(capsys.readouterr())
    assert files
    assert not any(token.encode() in file.read_bytes() for file in files)


# ---------------------------------------------------------------- 12: several of them


def test_12_two_servers_that_both_have_a_project_1_are_told_apart(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other_key = "1.1764000000"
    with open_world(tmp_path_factory.mktemp("other"), version=None) as other:
        with other.database.write() as session:
            link = StudioLink(host="http://127.0.0.1:8081", key=other_key, project_id=1)
            link_studio(session, other.project_id, link)
        theirs = hard_event(created_at="2025-11-24T16:00:00Z")
        ours = hard_event()

        for each in (world, other):  # every event reaches both backends
            play(each, ours, {**theirs, "task": {**theirs["task"], "data": {"text": "Rash."}}})

        assert [document.text for document in gold(world)] == [TEXT]
        assert [document.text for document in gold(other)] == ["Rash."]
