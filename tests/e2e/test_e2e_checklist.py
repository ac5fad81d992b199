"""The acceptance checklist of the contract with Label Studio, by its numbers: a real server.

What the other tests with a real server show is not repeated here. No browser, no training.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from backend_world import CONFIG_XML
from factories import make_document
from hard_annotation import FACTS, RESULT, TEXT, facts_of
from studio_people import invited_person
from ward_world import Ward, open_ward

from annotator.domain import Document
from annotator.formats import read_corpus
from annotator.services.archive.export import export_gold
from annotator.services.intake.documents import ingest_documents
from annotator.services.queue.order import QueueSettings
from annotator.services.queue.publish import publish_version, serve_first
from annotator.services.queue.sampled_order import next_tasks
from annotator.services.sync.upload import upload_tasks
from annotator.store.versions import ModelVersion
from annotator.studio.client import StudioClient
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import parse_config
from annotator.studio.server import RunningStudio, StudioServer
from annotator.studio.validation import clean_prediction

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    # The SDK refreshes personal tokens by a deprecated method of pydantic.
    pytest.mark.filterwarnings("ignore:The `parse_obj` method is deprecated"),
]


@pytest.fixture(scope="module")
def client(studio: RunningStudio, personal: str) -> Iterator[StudioClient]:
    """A client with a personal access token: all of this module works with one."""
    with StudioClient(studio.url, personal) as opened:
        yield opened


@pytest.fixture(scope="module")
def ward(client: StudioClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A connected project."""
    with open_ward(tmp_path_factory.mktemp("ward"), client, "Checklist") as opened:
        yield opened


# ---------------------------------------------------------------- 7: what an annotation is


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What annotations we know by their events, then after a pull; and the gold."""

    by_events: dict[str, Any]
    after_pull: dict[str, Any]
    gold: dict[str, list[str]]
    people: tuple[str, str]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def told(
    studio: RunningStudio, client: StudioClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """One task a case, done with in Label Studio in that way."""
    cases = ("skipped", "draft", "empty", "bulk", "truth", "two people", "unskipped")
    with open_ward(tmp_path_factory.mktemp("told"), client, "Told apart") as ward:
        text = "Aspirin in case"
        tasks = client.import_tasks(ward.number, [{"text": f"{text} {case}."} for case in cases])
        at = dict(zip(cases, tasks, strict=True))
        region = {"id": "a", "from_name": "label", "to_name": "text", "type": "labels"}
        value = {"start": 0, "end": 7, "text": "Aspirin", "labels": ["Drug"]}
        drug = [{**region, "origin": "manual", "value": value}]
        effect = [{**drug[0], "value": {**value, "labels": ["Effect"]}}]
        pushed = {"task": at["bulk"], "model_version": "v", "score": 0.5}
        client.push_predictions(ward.number, [{**pushed, "result": [{**region, "value": value}]}])

        def annotate(case: str, **body: Any) -> str:
            body = {"result": drug, "lead_time": 3.0, **body}
            return str(client.create_annotation(at[case], body)["id"])

        ids = {case: annotate(case, was_cancelled=True) for case in ("skipped", "unskipped")}
        ids["empty"] = annotate("empty", result=[])
        ids["truth"] = annotate("truth")
        ids["other truth"] = annotate("truth", result=effect)
        ward.tell("PATCH", f"api/annotations/{ids['truth']}/", {"ground_truth": True})
        ids["first"] = annotate("two people")
        with invited_person(studio, "second@example.com") as second:
            path = f"/api/tasks/{at['two people']}/annotations/"
            made = second.post(path, json={"result": effect, "lead_time": 2.0}).json()
        ids["second"] = str(made["id"])
        ward.tell("POST", f"api/tasks/{at['draft']}/drafts", {"result": drug, "lead_time": 1.0})
        ward.tell("POST", f"api/annotations/{ids['unskipped']}/convert-to-draft", {})
        ward.tell(
            *("POST", "api/dm/actions"),
            {"selectedItems": {"all": False, "included": [at["bulk"]]}, "model_version": "v"},
            id="predictions_to_annotations",
            project=ward.number,
        )
        ids["bulk"] = str(client.task(at["bulk"])["annotations"][0]["id"])  # type: ignore[index]
        ward.work_off()
        by_events = ward.annotations()
        ward.pull()
        people = str(client.whoami()["id"]), str(made["completed_by"])
        gold = {d.text[len(text) + 1 : -1]: [e.type for e in d.entities] for d in ward.gold()}
        yield Told(
            by_events=by_events, after_pull=ward.annotations(), gold=gold, people=people, ids=ids
        )


@pytest.mark.parametrize(
    ("name", "state", "in_bulk", "is_truth"),
    [
        ("skipped", "skipped", False, False),
        ("empty", "submitted", False, False),
        ("bulk", "submitted", True, False),
        ("truth", "submitted", False, True),
        ("other truth", "submitted", False, False),
    ],
)
def test_7_an_annotation_is_told_for_what_it_is_by_event_and_by_pull(
    told: Told, name: str, state: str, in_bulk: bool, is_truth: bool
) -> None:
    number = told.ids[name]

    assert told.by_events[number] == (state, in_bulk, is_truth, told.people[0])
    assert told.after_pull[number] == told.by_events[number]


def test_7_two_people_of_one_task_are_told_apart(told: Told) -> None:
    who = [told.by_events[told.ids[name]][3] for name in ("first", "second")]

    assert who == list(told.people)
    assert who[0] != who[1]


def test_7_a_skip_that_was_taken_back_is_seen_by_the_pull_alone(told: Told) -> None:
    number = told.ids["unskipped"]

    assert (told.by_events[number][0], told.after_pull[number][0]) == ("skipped", "deleted")


def test_7_skipped_tasks_and_drafts_are_no_gold_and_one_decision_a_task_is(told: Told) -> None:
    assert told.gold == {
        "empty": [],
        "bulk": ["Drug"],
        "truth": ["Drug"],
        "two people": ["Effect"],
    }


# ---------------------------------------------------------------- 8: there and back again


def test_8_all_of_a_hard_annotation_goes_there_and_back_again(
    ward: Ward, client: StudioClient, tmp_path: Path
) -> None:
    (task, other) = client.import_tasks(ward.number, [{"text": TEXT}, {"text": TEXT}])
    client.create_annotation(task, {"result": RESULT, "lead_time": 20.0})
    ward.work_off()
    world = ward.world
    for name in ("jsonl", "bioes"):
        export_gold(
            world.database, world.project_id, name=name, out=tmp_path / name, program_version="t"
        )

    (gold,) = [d for d in ward.gold() if d.text == TEXT]
    (home,) = [
        d
        for d in read_corpus("jsonl", tmp_path / "jsonl" / "gold.jsonl").documents
        if d.text == TEXT
    ]
    tagged = read_corpus("bioes", tmp_path / "bioes" / "gold.tsv").documents
    config = parse_config(CONFIG_XML)
    result = labels_to_result(home.entities, home.relations, text=TEXT, config=config)
    sent = clean_prediction({"score": 0.5, "result": result}, text=TEXT, config=config)
    item = {**sent.prediction, "task": other, "model_version": "home"}
    n_taken = client.push_predictions(ward.number, [item])
    (stored,) = client.predictions(other)
    back = result_to_labels(stored["result"], text=TEXT, config=config)

    again = Document(id="again", text=TEXT, entities=back.entities, relations=back.relations)
    known = {fact for fact in FACTS if "Mystery" not in fact}  # no label of the configuration
    assert (facts_of(gold), facts_of(home)) == (FACTS, FACTS)
    assert any(facts_of(document) < FACTS for document in tagged if document.text == TEXT)
    assert (n_taken, back.issues) == (1, ())
    assert {fact for fact in facts_of(again) if fact[0] is not None} == {
        fact for fact in known if fact[0] is not None
    }


# ---------------------------------------------------------------- 9: a new version


def publish(ward: Ward, version: ModelVersion, *, seed: int) -> None:
    ward.world.models.refresh()
    loaded = ward.world.models.current()
    assert loaded is not None
    publish_version(
        ward.world.database,
        ward.project,
        ward.client,
        version,
        lambda: loaded.predictor,
        queue=QueueSettings(
            strategy="random", batch=8, random_share=0.0, per_document=8, seed=seed
        ),
    )


def in_order(ward: Ward, version: str) -> list[int]:
    """Tasks by rising score of a version, as Label Studio has them."""
    scores = {
        task["id"]: prediction["score"]
        for task in ward.client.tasks(ward.number)
        for prediction in task["predictions"]
        if prediction["model_version"] == version
    }
    return sorted(scores, key=lambda task: scores[task])


def serve_next(ward: Ward) -> int:
    """Take the task that the label stream serves, and submit it."""
    task = ward.client.next_task(ward.number)
    assert task is not None
    ward.client.create_annotation(task["id"], {"result": [], "lead_time": 1.0})
    return int(task["id"])


def test_9_a_new_version_is_pushed_and_selected_and_its_lowest_scores_are_served_first(
    client: StudioClient, tmp_path: Path
) -> None:
    with open_ward(tmp_path, client, "New version") as ward:
        documents = [make_document(f"n{i}", f"Aspirin caused rash number {i}.") for i in range(8)]
        world = ward.world
        ingest_documents(
            world.database, world.project_id, documents, role="pool", holdout_share=0.0, seed=1
        )
        upload_tasks(world.database, ward.project, client)
        publish(ward, world.models.current().version, seed=1)  # type: ignore[union-attr]
        before = client.project(ward.number).model_version
        publish(ward, world.register("tiny-2"), seed=2)
        first, second = in_order(ward, "tiny-1"), in_order(ward, "tiny-2")

        served = [serve_next(ward) for _ in range(4)]

        assert (before, client.project(ward.number).model_version) == ("tiny-1", "tiny-2")
        assert served == second[:4]
        assert first[:4] != second[:4]


def test_tasks_that_somebody_wants_first_are_served_first_by_any_strategy(
    client: StudioClient, tmp_path: Path
) -> None:
    with open_ward(tmp_path, client, "Wanted first") as ward:
        documents = [make_document(f"n{i}", f"Aspirin caused rash number {i}.") for i in range(8)]
        world = ward.world
        ingest_documents(
            world.database, world.project_id, documents, role="pool", holdout_share=0.0, seed=1
        )
        upload_tasks(world.database, ward.project, client)
        loaded = world.models.current()
        assert loaded is not None
        publish(ward, loaded.version, seed=1)
        before = in_order(ward, "tiny-1")
        settings = QueueSettings(
            strategy="joint_rank", batch=3, random_share=0.0, per_document=8, seed=3
        )
        order = next_tasks(
            world.database,
            world.project_id,
            loaded.version,
            lambda: loaded.predictor,
            n=3,
            settings=settings,
        )

        moved = serve_first(world.database, ward.project, client, loaded.version, order)
        served = [serve_next(ward) for _ in range(5)]

        rest = [task for task in before if task not in moved]
        assert len(moved) == 3
        assert served == moved + rest[:2]
        assert moved != before[:3]


# ---------------------------------------------------------------- 11: tokens


def expire(client: StudioClient) -> None:
    """Let five minutes pass for the access token: its own claim says that it has ended."""
    tokens = client._api._requests.base_headers.__self__._tokens_client
    header, claims, signature = tokens._access_token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    ended = json.dumps({**said, "exp": said["exp"] - 600}).encode()
    claims = base64.urlsafe_b64encode(ended).decode().rstrip("=")
    tokens._access_token = f"{header}.{claims}.{signature}"


def test_11_an_access_token_whose_five_minutes_are_over_is_replaced(client: StudioClient) -> None:
    before = client.whoami()
    expire(client)

    assert client.whoami() == before


def test_11_the_token_of_setup_is_kept_nowhere(ward: Ward, studio: RunningStudio) -> None:
    ward.client.backends(ward.number)  # Label Studio calls /setup first, with the legacy token

    files = [file for file in ward.world.settings.home.rglob("*") if file.is_file()]

    assert files
    assert not any(studio.token.encode() in file.read_bytes() for file in files)


# ---------------------------------------------------------------- 12: several of them


@pytest.fixture(scope="module")
def other_client(new_studio: Callable[..., StudioServer]) -> Iterator[StudioClient]:
    """A client, with a legacy token, of a second Label Studio."""
    server = new_studio()
    running = server.start()
    try:
        with StudioClient(running.url, running.token) as opened:
            yield opened
    finally:
        server.stop()


def test_12_two_projects_and_another_server_are_labelled_at_once_and_kept_apart(
    ward: Ward, client: StudioClient, other_client: StudioClient, tmp_path: Path
) -> None:
    with (
        open_ward(tmp_path / "same", client, "Same server") as same,
        open_ward(tmp_path / "other", other_client, "Other server") as other,
    ):
        for each in (ward, same, other):
            (task,) = each.client.import_tasks(each.number, [{"text": f"Rash of {each.number}."}])
            each.client.create_annotation(task, {"result": [], "lead_time": 1.0})
        for each in (ward, same, other):
            each.work_off()
            each.pull()

        found = [{d.text for d in each.gold()} - {TEXT} for each in (ward, same, other)]
        keys = {each.project.studio for each in (ward, same, other)}

        assert found == [{f"Rash of {each.number}."} for each in (ward, same, other)]
        assert len(keys) == 3
