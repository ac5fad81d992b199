"""What ``annotator connect`` says of a project before anybody labels in it."""

from __future__ import annotations

from annotator.cli.connect import _lines
from annotator.services.sync.connect import Connection
from annotator.services.sync.pull import PullReport
from annotator.studio.config import parse_config

CONFIG = parse_config(
    '<View><Labels name="label" toName="text"><Label value="Drug"/></Labels>'
    '<Text name="text" value="$note.text"/>'
    '<Choices name="sure" toName="text" perRegion="true"><Choice value="no"/></Choices></View>'
)
CONNECTION = Connection(
    studio_project=1, backend=2, webhook=3, config=CONFIG, event_arrived=True, unknown_types=()
)


def lines(n_problems: int) -> list[str]:
    problems = tuple(f"task {i}: data.note.text must be a text" for i in range(n_problems))
    pulled = PullReport(
        n_tasks=9, n_news=0, n_deleted_tasks=0, n_deleted_annotations=0, problems=problems
    )
    return _lines(CONNECTION, pulled, page="http://there", backend="http://here")


def test_tasks_that_cannot_be_read_are_named() -> None:
    assert "problem: task 1: data.note.text must be a text" in lines(2)


def test_of_many_problems_some_are_named_and_the_rest_is_counted() -> None:
    said = lines(8)

    assert sum(line.startswith("problem: ") for line in said) == 5
    assert "3 problems more: annotator sync --full names them all" in said


def test_controls_whose_answers_stay_there_are_named() -> None:
    assert any(line.startswith('not taken over: <Choices name="sure">') for line in lines(0))
