"""Checks on predictions before they are sent; Label Studio itself checks next to nothing.

One relation to a missing region blanks the editor for everybody, so nothing leaves this process
without passing ``clean_prediction``. Messages name items by index and never hold text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotator.errors import TaskFormatError
from annotator.studio.config import LabelConfig
from annotator.studio.page import Page, as_page

__all__ = ["CleanPrediction", "clean_prediction", "validate_prediction"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanPrediction:
    """A prediction that passes ``validate_prediction``, and a line for each thing left out."""

    prediction: dict[str, Any]
    dropped: tuple[str, ...] = ()


def validate_prediction(
    prediction: Mapping[str, Any], *, text: str | Page, config: LabelConfig
) -> list[str]:
    """Return what is wrong with a prediction; an empty list means it may be sent.

    Checks the score (0 to 1, or none), the version (text, if given), and in ``result`` every
    region (id unique, control and labels in the configuration, offsets in the text, mention equal
    to the slice) and every relation (ends exist, direction and labels known).
    """
    page, problems = as_page(text), _frame_problems(prediction)
    result = prediction.get("result")
    if not isinstance(result, list):
        return [*problems, "result is no list"]
    seen: set[str] = set()
    for index, item in enumerate(result):
        if not _is_relation(item):
            problems += _region_problems(index, item, seen=seen, page=page, config=config)
            _remember(item, seen)
    for index, item in enumerate(result):
        if _is_relation(item):
            problems += _relation_problems(index, item, regions=seen, config=config)
    return problems


def clean_prediction(
    prediction: Mapping[str, Any], *, text: str | Page, config: LabelConfig
) -> CleanPrediction:
    """Leave out what ``validate_prediction`` would refuse: regions, relations, score, version.

    A relation to a region that was left out is left out too. The input is not changed.
    """
    page, dropped = as_page(text), _frame_problems(prediction)
    clean = {key: value for key, value in prediction.items() if key != "result"}
    if not _is_score(clean.get("score")):
        del clean["score"]
    if not _is_version(clean.get("model_version")):
        del clean["model_version"]
    result = prediction.get("result")
    if not isinstance(result, list):
        dropped.append("result is no list")
        result = []
    kept: dict[int, Any] = {}
    seen: set[str] = set()
    for index, item in enumerate(result):
        if _is_relation(item):
            continue
        problems = _region_problems(index, item, seen=seen, page=page, config=config)
        dropped += problems
        if not problems:
            kept[index] = item
            _remember(item, seen)
    for index, item in enumerate(result):
        if not _is_relation(item):
            continue
        problems = _relation_problems(index, item, regions=seen, config=config)
        dropped += problems
        if not problems:
            kept[index] = item
    clean["result"] = [kept[index] for index in sorted(kept)]
    return CleanPrediction(prediction=clean, dropped=tuple(dropped))


def _frame_problems(prediction: Mapping[str, Any]) -> list[str]:
    problems = []
    if not _is_score(prediction.get("score")):
        problems.append("score must be a number from 0 to 1")
    if not _is_version(prediction.get("model_version")):
        problems.append("model_version must be a text that is not empty")
    return problems


def _region_problems(
    index: int, item: Any, *, seen: set[str], page: Page, config: LabelConfig
) -> list[str]:
    where = f"item {index}"
    if not isinstance(item, Mapping):
        return [f"{where} is no object"]
    problems = []
    region_id = item.get("id")
    if not isinstance(region_id, str) or not region_id:
        problems.append(f"{where} has no id")
    elif region_id in seen:
        problems.append(f"{where} repeats the id of an earlier region")
    control = config.control_named(item.get("from_name"))
    kind = (control or config.controls[0]).kind
    if item.get("type") != kind or item.get("to_name") != config.text_name:
        problems.append(f"{where} is not of type {kind} on {config.text_name}")
    if not _is_score(item.get("score")):
        problems.append(f"{where} has a score that is no number from 0 to 1")
    value = item.get("value")
    if not isinstance(value, Mapping):
        return [*problems, f"{where} has no value object"]
    problems += _span_problems(where, value, page)
    if control is None:
        return [*problems, f"{where} names a control that is not in the configuration"]
    return problems + _label_problems(
        where, value.get(kind), known=control.spelled, kind="label", required=True
    )


def _relation_problems(
    index: int, item: Mapping[str, Any], *, regions: set[str], config: LabelConfig
) -> list[str]:
    where = f"relation {index}"
    problems = [
        f"{where}: {end} names a region that is not in the prediction"
        for end in ("from_id", "to_id")
        if not isinstance(item.get(end), str) or item[end] not in regions
    ]
    if item.get("direction") not in ("right", "left", "bi"):
        problems.append(f"{where}: direction must be right, left or bi")
    if not _is_score(item.get("score")):
        problems.append(f"{where}: score must be a number from 0 to 1")
    return problems + _label_problems(
        where,
        item.get("labels"),
        known=config.relations_spelled,
        kind="relation label",
        required=False,
    )


def _span_problems(where: str, value: Mapping[str, Any], page: Page) -> list[str]:
    try:
        start, end = page.find(value)
    except TaskFormatError as error:
        return [f"{where} {error}"]
    if not 0 <= start < end <= len(page.text):
        return [f"{where} spans {start}..{end}, outside the text (length {len(page.text)})"]
    said = page.place(start, end)
    if any(type(value.get(name)) is not type(said[name]) for name in said if name in value):
        return [
            f"{where} has offsets that are no whole numbers, or turns and nodes that are no texts"
        ]
    if "text" in value and value["text"] != said["text"]:
        return [f"{where} does not hold the mention it names at {start}..{end}"]
    return []


def _label_problems(
    where: str, labels: Any, *, known: tuple[str, ...], kind: str, required: bool
) -> list[str]:
    if labels is None and not required:
        return []
    if not isinstance(labels, list) or (required and not labels):
        return [f"{where} has no list of {kind}s"]
    problems = []
    if any(label not in known for label in labels):
        problems.append(f"{where} has a {kind} that is not in the configuration")
    if any(label in labels[:position] for position, label in enumerate(labels)):
        problems.append(f"{where} has a {kind} twice")
    return problems


def _is_relation(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "relation"


def _remember(item: Any, seen: set[str]) -> None:
    if isinstance(item, Mapping) and isinstance(item.get("id"), str) and item["id"]:
        seen.add(item["id"])


def _is_score(value: Any) -> bool:
    """Return whether ``value`` is None or a number from 0 to 1; NaN is not."""
    if value is None:
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _is_version(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(value.strip()))
