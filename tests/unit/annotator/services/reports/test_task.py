"""Why a task shows what it shows, in words that can be sent to somebody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_studio import FakeStudio, make_link, make_region
from run_world import register

from annotator.model import Predictor
from annotator.services.queue.order import QueueSettings
from annotator.services.queue.publish import publish_version
from annotator.services.reports.doctor import Finding
from annotator.services.reports.task import explain_task
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.store.versions import ModelVersion

Pull = Callable[..., Any]
Deliver = Callable[[], Any]
TEXT = "Aspirin induced severe rash . Fever was treated with ibuprofen ."
QUEUE = QueueSettings(strategy="mnlp", batch=5, random_share=0.0, per_document=3, seed=1)


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.load(tiny_model, device="cpu")


@pytest.fixture
def version(database: Database, linked: Project, tiny_model: Path) -> ModelVersion:
    return register(database, linked, tiny_model)


class Case:
    """A task in Label Studio, and what the doctor says of it."""

    def __init__(
        self, database: Database, project: Project, studio: FakeStudio, predictor: Predictor
    ) -> None:
        self.database = database
        self.project = project
        self.studio = studio
        self.predictor = predictor
        self.task = studio.add_task(text=TEXT)

    def look(self) -> list[Finding]:
        found = explain_task(
            self.database, self.project, self.studio, self.task, load=lambda _v: self.predictor
        )
        return list(found)

    def part(self, name: str) -> list[Finding]:
        return [finding for finding in self.look() if finding.part == name]

    def push(self, version: ModelVersion) -> None:
        publish_version(
            self.database, self.project, self.studio, version, lambda: self.predictor, queue=QUEUE
        )


@pytest.fixture
def case(database: Database, linked: Project, studio: FakeStudio, predictor: Predictor) -> Case:
    return Case(database, linked, studio, predictor)


def test_a_task_in_order_is_explained_without_its_text(
    case: Case, pull: Pull, version: ModelVersion
) -> None:
    pull()
    case.push(version)

    found = case.look()

    assert {finding.state for finding in found} == {"good"}
    assert [f.part for f in found if f.part != "replay"] == [
        "task", "text", "annotations", "predictions", "queue",
    ]  # fmt: skip
    said = " ".join(finding.message + finding.remedy for finding in found)
    assert not [word for word in TEXT.split() if len(word) > 4 and word in said]


def test_what_the_model_sees_is_listed_by_label_and_place(
    case: Case, pull: Pull, version: ModelVersion
) -> None:
    pull()
    case.push(version)

    lines = [finding.message for finding in case.part("replay")]

    assert any(line.startswith("Drug 0-7, ") for line in lines)
    assert "that is what Label Studio has stored" in lines


def test_a_task_that_is_nowhere_is_told(case: Case) -> None:
    case.task = 99

    (found,) = case.look()

    assert (found.state, found.remedy) == ("bad", "annotator sync")


def test_a_task_of_another_project_there_is_told(case: Case) -> None:
    case.studio._tasks[case.task]["project"] = 7

    (found,) = case.look()

    assert (found.state, "Label Studio's project 7" in found.message) == ("bad", True)


def test_a_task_that_we_have_not_heard_of_is_told(case: Case, version: ModelVersion) -> None:
    assert case.part("task")[0].state == "warning"
    assert "2 sentences" in case.part("replay")[0].message  # predicted all the same


def test_a_text_that_was_edited_is_told_from_where_on(case: Case, pull: Pull) -> None:
    pull()
    case.studio.edit_task(case.task, text=TEXT.replace("severe", "slight"))

    (found,) = case.part("text")

    assert found.state == "warning"
    assert "from character 17 on" in found.message


def test_a_task_without_text_in_the_configured_field_is_told(case: Case) -> None:
    case.task = case.studio.add_task(note="somewhere else")

    (found,) = case.part("text")

    assert found.state == "bad"
    assert "data.text" in found.message


def test_a_correction_that_has_not_arrived_is_told(
    case: Case, pull: Pull, deliver: Deliver
) -> None:
    pull()
    case.studio.annotate(case.task, [make_region("a", 0, 7, "Drug", text=TEXT)])
    assert [f.state for f in case.part("annotations")] == ["bad"]

    deliver()

    assert [f.state for f in case.part("annotations")] == ["good"]


def test_labels_that_could_not_be_taken_are_told(case: Case, pull: Pull) -> None:
    case.studio.annotate(case.task, [make_region("a", 0, 7, "Odd", text=TEXT)])
    pull()

    (found,) = case.part("annotations")

    assert found.state == "warning"
    assert "1 for unknown_label" in found.message


def test_a_task_without_a_prediction_of_the_selected_version_is_told(
    case: Case, pull: Pull, version: ModelVersion
) -> None:
    pull()
    case.studio.model_version = "v0"

    (found,) = case.part("predictions")

    assert found.state == "warning"
    assert "none of v0" in found.message


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ([make_link("a", "gone", "causes")], "names a region that is not in the prediction"),
        ([make_region("a", 0, 9999, "Drug", text=TEXT)], "outside the text"),
    ],
    ids=["dangling relation", "offset"],
)
def test_a_stored_prediction_that_would_break_the_editor_is_bad(
    case: Case, pull: Pull, result: list[dict[str, Any]], says: str
) -> None:
    pull()
    item = {"task": case.task, "model_version": "v1", "score": 0.5, "result": result}
    case.studio.push_predictions(1, [item])
    case.studio.model_version = "v1"

    (found,) = case.part("predictions")

    assert found.state == "bad"
    assert says in found.message


def test_doubles_and_foreign_predictions_are_told(
    case: Case, pull: Pull, version: ModelVersion
) -> None:
    pull()
    case.push(version)
    empty = {"task": case.task, "model_version": "v1", "score": 0.5, "result": []}
    case.studio.push_predictions(1, [empty])

    assert any("2 of v1 are stored" in f.message for f in case.part("predictions"))
    assert any("something else under v1" in f.message for f in case.part("replay"))


def test_labels_that_label_studio_lacks_are_told(
    case: Case, pull: Pull, version: ModelVersion
) -> None:
    case.studio.config_xml = case.studio.config_xml.replace('"Drug"', '"Medicine"')
    pull()

    (found,) = [f for f in case.part("replay") if f.state == "warning"]

    assert "no label Drug" in found.message


def test_a_text_cut_for_its_length_is_said_to_be(
    case: Case, pull: Pull, version: ModelVersion
) -> None:
    case.task = case.studio.add_task(text="aspirin rash " * 260)
    pull()

    (warning,) = [f for f in case.part("replay") if f.state == "warning"]

    assert "512 words" in warning.message
