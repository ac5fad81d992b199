"""Lost webhooks, a Label Studio that is away, a wrong token: nothing is lost and all is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from loop_world import Loop, wait_for

from annotator.studio.server import RunningStudio, StudioServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

WRONG_TOKEN = "c0ffee" * 6 + "c0fe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """What happened in Label Studio while nothing of ours ran, and what the pull said."""

    labelled: int
    skipped: int
    deleted: int
    unknown_before: bool
    report: dict[str, Any]


def annotate(loop: Loop, task: dict[str, Any], **fields: Any) -> int:
    """Accept a task's prediction through Label Studio's API; return the annotation."""
    prediction = task["predictions"][0]
    body = {"result": prediction["result"], "parent_prediction": prediction["id"], **fields}
    with loop.client() as client:
        return int(client.create_annotation(task["id"], body)["id"])


@pytest.fixture(scope="module")
def missed(loop: Loop) -> Missed:
    """Three events that were lost, because neither backend nor worker ran; then a pull."""
    unlabelled = [task for task in loop.tasks() if not task["annotations"]]
    first, second, third = unlabelled[:3]
    deleted = annotate(loop, first)
    wait_for(lambda: loop.stored(deleted), "an annotation by webhook")
    loop.stop("worker")
    loop.stop("serve")
    labelled = annotate(loop, second)
    skipped = annotate(loop, third, was_cancelled=True)
    loop.delete_annotation(deleted)
    loop.start_backend()
    unknown_before = loop.stored(labelled) is None and loop.stored(skipped) is None
    report = loop.command("sync")
    loop.start_worker()
    return Missed(
        labelled=labelled,
        skipped=skipped,
        deleted=deleted,
        unknown_before=unknown_before,
        report=report,
    )


def test_after_lost_webhooks_a_pull_makes_our_database_equal_to_label_studios(
    loop: Loop, missed: Missed
) -> None:
    assert missed.unknown_before
    assert missed.report["problems"] == []
    assert loop.submitted_here() == loop.submitted_there()
    assert str(missed.labelled) in {one[0] for one in loop.submitted_here().values()}


@pytest.mark.parametrize(
    ("which", "state"),
    [("labelled", "submitted"), ("skipped", "skipped"), ("deleted", "deleted")],
)
def test_each_lost_event_is_made_up_for(loop: Loop, missed: Missed, which: str, state: str) -> None:
    stored = loop.stored(getattr(missed, which))

    assert stored is not None
    assert stored.state == state


def test_a_pulled_annotation_knows_the_prediction_that_it_began_with(
    loop: Loop, missed: Missed
) -> None:
    stored = loop.stored(missed.labelled)

    assert stored is not None
    assert stored.parent_version == loop.ask("/health")["model_version"]
    assert stored.diff is not None
    assert stored.diff["entities_removed"] == stored.diff["entities_added"] == 0


def test_a_second_pull_has_nothing_to_tell(loop: Loop, missed: Missed) -> None:
    again = loop.command("sync", "--full")

    assert (again["n_news"], again["n_deleted_annotations"], again["problems"]) == (0, 0, [])


def test_background_commands_end_properly_on_sigterm(loop: Loop, missed: Missed) -> None:
    codes = loop.stop("worker"), loop.stop("serve")
    loop.start_backend()
    loop.start_worker()

    assert codes == (0, 0)


@pytest.mark.parametrize("command", ["sync", "push"])
def test_a_refused_token_is_told_in_one_line_without_the_token(loop: Loop, command: str) -> None:
    done = loop.run(command, ANNOTATOR_STUDIO_TOKEN=WRONG_TOKEN)

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("annotator: error: ")
    assert loop.studio.url in done.stderr
    assert "the token was refused" in done.stderr
    assert WRONG_TOKEN[:12] not in done.stderr


def test_connecting_with_a_wrong_token_changes_nothing(loop: Loop) -> None:
    before = (loop.home / "secrets.toml").read_bytes()

    done = loop.run("connect", loop.studio.url, "--token", WRONG_TOKEN, "--project", loop.number)

    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "the token was refused" in done.stderr
    assert WRONG_TOKEN[:12] not in done.stderr
    assert (loop.home / "secrets.toml").read_bytes() == before


def test_a_project_that_is_not_there_is_named(loop: Loop) -> None:
    before = (loop.home / "secrets.toml").read_bytes()

    done = loop.run("connect", loop.studio.url, "--token", loop.studio.token, "--project", 4711)

    assert done.returncode == 1
    assert "project 4711" in done.stderr.splitlines()[-1]
    assert loop.command("status")["label_studio"]["project"] == loop.number
    assert (loop.home / "secrets.toml").read_bytes() == before


@pytest.fixture
def studio_away(studio_server: StudioServer, studio: RunningStudio) -> Iterator[RunningStudio]:
    """Label Studio is stopped, and started again at the same place afterwards."""
    studio_server.stop()
    yield studio
    again = studio_server.start()
    assert again.url == studio.url


def test_without_label_studio_a_pull_names_its_address_and_the_backend_still_predicts(
    loop: Loop, studio_away: RunningStudio
) -> None:
    before = loop.submitted_here()

    done = loop.run("sync")
    tasks = [{"id": 1, "data": {"text": "Metformin was stopped because of nausea."}}]
    status, answer = loop.send("/predict", json.dumps({"tasks": tasks}).encode())

    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("annotator: error: ")
    assert studio_away.url in done.stderr
    assert "is Label Studio running there?" in done.stderr
    assert loop.submitted_here() == before
    assert status == 200
    assert len(json.loads(answer)["results"]) == 1
