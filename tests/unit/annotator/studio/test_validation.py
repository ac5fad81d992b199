from __future__ import annotations

import copy
from typing import Any

import pytest

from annotator.studio.validation import clean_prediction, validate_prediction

from .builders import CONFIG, DOSE, TEXT, link, region


def make(*items: Any, **changes: Any) -> dict[str, Any]:
    return {"task": 4, "score": 0.4, "model_version": "v1", "result": list(items), **changes}


def test_a_sound_prediction_passes_and_is_left_as_it_is() -> None:
    prediction = make(region(value={"text": "aspirin"}, score=0.9), DOSE, link(labels=["causes"]))
    before = copy.deepcopy(prediction)

    assert validate_prediction(prediction, text=TEXT, config=CONFIG) == []
    assert clean_prediction(prediction, text=TEXT, config=CONFIG).prediction == before
    assert prediction == before


def test_nothing_found_is_a_prediction() -> None:
    assert validate_prediction(make(), text=TEXT, config=CONFIG) == []


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        pytest.param("x", "no object", id="no-object"),
        pytest.param(region(None), "no id", id="no-id"),
        pytest.param(region("b"), "repeats the id", id="same-id"),
        pytest.param(region(type="choices"), "not of type labels", id="type"),
        pytest.param(region(to_name="x"), "not of type labels", id="to-name"),
        pytest.param(region(from_name="x"), "names a control", id="control"),
        pytest.param({**region(), "value": []}, "no value object", id="value"),
        pytest.param(region(start="7"), "no whole numbers", id="text-offset"),
        pytest.param(region(start=False), "no whole numbers", id="bool-offset"),
        pytest.param(region(end=30), "outside the text (length 28)", id="outside"),
        pytest.param(region(start=14), "outside the text", id="empty"),
        pytest.param(region(value={"text": "Aspirin"}), "mention", id="mention"),
        pytest.param(region(value={"labels": ["Gene"]}), "not in the configuration", id="label"),
        pytest.param(region(value={"labels": ["Effect"]}), "not in the conf", id="other-control"),
        pytest.param(region(value={"labels": ["Drug", "Drug"]}), "twice", id="label-twice"),
        pytest.param(region(value={"labels": []}), "no list of labels", id="no-labels"),
        pytest.param(region(score=1.5), "score", id="score"),
        pytest.param(region(score=float("nan")), "score", id="nan"),
        pytest.param(link("b", "zzz"), "to_id names a region", id="dangling"),
        pytest.param(link("b", ["b"]), "to_id names a region", id="odd-end"),
        pytest.param(link("b", "b", direction="up"), "direction", id="direction"),
        pytest.param(link("b", "b", labels=["binds"]), "relation label", id="relation-label"),
        pytest.param(link("b", "b", labels="causes"), "no list", id="relation-labels-no-list"),
        pytest.param(link("b", "b", score=2), "score", id="relation-score"),
    ],
)
def test_each_fault_is_named_and_cleaned_away_alone(item: Any, problem: str) -> None:
    prediction = make(DOSE, item)

    problems = validate_prediction(prediction, text=TEXT, config=CONFIG)
    cleaned = clean_prediction(prediction, text=TEXT, config=CONFIG)

    assert len(problems) == 1
    assert problem in problems[0]
    assert cleaned.dropped == tuple(problems)
    assert cleaned.prediction["result"] == [DOSE]


def test_a_relation_goes_with_its_region() -> None:
    cleaned = clean_prediction(
        make(region(value={"labels": ["Gene"]}), DOSE, link(labels=["causes"])),
        text=TEXT,
        config=CONFIG,
    )

    assert cleaned.prediction["result"] == [DOSE]
    assert len(cleaned.dropped) == 2


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"score": 2.0}, {"task": 4, "model_version": "v1", "result": []}),
        ({"model_version": ""}, {"task": 4, "score": 0.4, "result": []}),
        ({"result": None}, {"task": 4, "score": 0.4, "model_version": "v1", "result": []}),
    ],
    ids=["score", "version", "result"],
)
def test_a_bad_frame_is_repaired_by_leaving_out(
    changes: dict[str, Any], left: dict[str, Any]
) -> None:
    cleaned = clean_prediction(make(**changes), text=TEXT, config=CONFIG)

    assert cleaned.prediction == left
    assert len(cleaned.dropped) == 1


def test_no_problem_quotes_the_text() -> None:
    prediction = make(region(value={"text": "rash and more"}), region("b", 0, 99))

    problems = " ".join(validate_prediction(prediction, text=TEXT, config=CONFIG))

    assert "rash" not in problems
    assert "aspirin" not in problems
