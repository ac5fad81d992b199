"""What a real Label Studio 1.23.2 sent and answered, on file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotator.domain import Entity, LabelSchema, Relation
from annotator.studio.client import _project
from annotator.studio.codec import StudioLabels, labels_to_result, result_to_labels
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.refusals import explain_refusal
from annotator.studio.validation import clean_prediction, validate_prediction

FOLDER = Path(__file__).parent / "recorded"


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def config() -> LabelConfig:
    return parse_config(load("02-setup-request")["body"]["schema"])


def read(recorded: Any, config: LabelConfig) -> StudioLabels:
    return result_to_labels(
        recorded["submitted"]["result"], text=recorded["task_text"], config=config
    )


def mentions(labels: StudioLabels, text: str) -> dict[str, tuple[str, str]]:
    return {one.id: (one.type, text[one.start : one.end]) for one in labels.entities}


def test_the_key_of_a_project_is_the_one_that_setup_sends() -> None:
    project = _project(load("01-project-create")["answer"])

    assert project.key == load("02-setup-request")["body"]["project"]
    assert (project.title, project.sampling) == ("ADE demo", "Uncertainty sampling")
    assert (project.model_version, project.task_number) == ("", 0)


def test_the_configuration_of_setup_is_read(config: LabelConfig) -> None:
    assert config.schema == LabelSchema(
        entity_types=("Drug", "Adverse-Effect", "Dose"), relation_types=("caused-by", "has-dose")
    )


def test_a_submission_without_change_has_the_labels_of_its_prediction(config: LabelConfig) -> None:
    recorded = load("38-ui-submit-unchanged")
    text = recorded["task_text"]

    submitted = read(recorded, config)
    predicted = result_to_labels(recorded["prediction"]["result"], text=text, config=config)

    assert submitted.issues == ()
    assert submitted.entities == predicted.entities
    assert mentions(submitted, text)["r0_10"] == ("Drug", "metformin")
    assert [(one.type, one.head, one.tail) for one in submitted.relations] == [
        (one.type, one.head, one.tail) for one in predicted.relations
    ]


def test_an_edited_submission_is_read_with_crlf_astral_and_combining_characters(
    config: LabelConfig,
) -> None:
    recorded = load("39-ui-submit-edited")

    labels = read(recorded, config)

    found = mentions(labels, recorded["task_text"])
    assert labels.issues == ()
    assert found["r6_11"] == ("Dose", "rash")
    assert found["bZ97-Kab3f"] == ("Drug", "blocker")
    assert labels.relations[-1] == Relation(type=None, head="r0_11", tail="bZ97-Kab3f")
    assert len(labels.relations) == 4


@pytest.mark.parametrize("name", ["38-ui-submit-unchanged", "39-ui-submit-edited"])
def test_a_submission_is_written_as_it_came_but_for_its_origin(
    name: str, config: LabelConfig
) -> None:
    recorded = load(name)
    labels = read(recorded, config)

    written = labels_to_result(
        labels.entities, labels.relations, text=recorded["task_text"], config=config
    )

    submitted = recorded["submitted"]["result"]
    assert written == [
        {key: value for key, value in item.items() if key != "origin"} for item in submitted
    ]


@pytest.mark.parametrize("name", ["38-ui-submit-unchanged", "39-ui-submit-edited"])
def test_a_recorded_prediction_is_valid(name: str, config: LabelConfig) -> None:
    recorded = load(name)

    problems = validate_prediction(
        recorded["prediction"], text=recorded["task_text"], config=config
    )

    assert problems == []


def test_a_mention_over_several_lines_is_no_mismatch(config: LabelConfig) -> None:
    recorded = load("51-ui-mention-over-lines")

    labels = read(recorded, config)

    assert labels.issues == ()
    assert [(one.start, one.end) for one in labels.entities] == [(34, 46), (47, 69)]


def test_the_relation_that_blanked_the_editor_does_not_leave(config: LabelConfig) -> None:
    recorded = load("41-ui-dangling-relation")
    prediction = {"score": 0.5, "result": recorded["prediction_result_stored"]}

    cleaned = clean_prediction(prediction, text=recorded["task_text"], config=config)

    assert [item["id"] for item in cleaned.prediction["result"]] == ["a"]
    assert len(cleaned.dropped) == 1
    assert result_to_labels(
        prediction["result"], text=recorded["task_text"], config=config
    ).entities == (Entity(id="a", type="Drug", start=0, end=8),)


@pytest.mark.parametrize("index", [0, 1], ids=["backend", "webhook"])
def test_a_refused_private_address_names_both_settings(index: int) -> None:
    answer = load("43-ssrf-settings")[index]["answer"]

    said = explain_refusal(answer["status"], answer["body"])

    assert "ML_BLOCK_LOCAL_IP" in said
    assert "SSRF_PROTECTION_ENABLED" in said


def test_a_legacy_token_that_is_switched_off_is_told_from_a_wrong_one() -> None:
    answer = load("42-legacy-token-off")["answer"]

    assert "personal access token" in explain_refusal(answer["status"], answer["body"])
