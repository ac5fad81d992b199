"""Label Studio to domain and back is the identity; nothing invalid can leave."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from annotator.domain import Document, LabelSchema
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import build_config, parse_config
from annotator.studio.validation import clean_prediction, validate_prediction

SCHEMA = LabelSchema(entity_types=("Drug", "Dose", "Effect"), relation_types=("has-dose", "causes"))
CONFIG = parse_config(build_config(SCHEMA, unit="document"))

# Astral and combining characters, line breaks of both kinds, and literal backslashes.
texts = st.text(alphabet="ab é\u0301😀𝛽\r\n\\n.", min_size=1, max_size=30)
names = st.text(alphabet="abcXYZ019-_", min_size=1, max_size=6)
scores = st.none() | st.sampled_from([0.0, 0.25, 0.5, 1.0])
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 40)
    | st.floats()
    | st.sampled_from(
        ["a", "b", "Drug", "causes", "label", "text", "labels", "right", "bi", "7", ""]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["start", "end", "labels", "text", "id", "value", "type"]), inner
        )
    ),
    max_leaves=6,
)


def subsets(values: tuple[str, ...], *, least: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, unique=True)


@st.composite
def spans(draw: st.DrawFn, text: str) -> tuple[int, int]:
    start = draw(st.integers(0, len(text) - 1))
    return start, draw(st.integers(start + 1, len(text)))


@st.composite
def regions(draw: st.DrawFn, text: str, name: str) -> dict[str, Any]:
    start, end = draw(spans(text))
    labels = draw(subsets(SCHEMA.entity_types, least=1))
    value = {"start": start, "end": end, "text": text[start:end], "labels": labels}
    kind = {"from_name": "label", "to_name": "text", "type": "labels"}
    score = draw(scores)
    return {"id": name, **kind, "value": value, **({} if score is None else {"score": score})}


@st.composite
def results(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """Draw a text and what Label Studio's editor can submit on it, in its order."""
    text = draw(texts)
    ids = draw(st.lists(names, max_size=4, unique=True))
    drawn = [draw(regions(text, name)) for name in ids]
    ends = st.tuples(st.sampled_from(ids), st.sampled_from(ids), st.sampled_from(["right", "bi"]))
    links = draw(st.lists(ends, max_size=4, unique=True)) if ids else []
    for head, tail, direction in links:
        labels = draw(subsets(SCHEMA.relation_types, least=0))
        link = {"type": "relation", "from_id": head, "to_id": tail, "direction": direction}
        drawn.append({**link, "labels": labels} if labels else link)
    return text, drawn


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Draw a prediction of sound parts with junk in any place."""
    text, result = draw(results())
    items: list[Any] = copy.deepcopy(result)
    for item in items:
        for key in draw(subsets(tuple(item), least=0)):
            item[key] = draw(junk)
        value = item.get("value")
        for key in (
            draw(subsets(tuple(value), least=0)) if isinstance(value, dict) and value else []
        ):
            value[key] = draw(junk)
    items += draw(st.lists(junk, max_size=2))
    frame = {"result": st.just(items) | junk, "score": scores | junk, "model_version": junk}
    keys = draw(subsets(tuple(frame), least=0))
    return text, {key: draw(frame[key]) for key in keys} | {"task": 1}


@given(results())
def test_label_studio_to_domain_to_label_studio_is_identity(
    drawn: tuple[str, list[dict[str, Any]]],
) -> None:
    text, result = drawn

    labels = result_to_labels(result, text=text, config=CONFIG)
    back = labels_to_result(labels.entities, labels.relations, text=text, config=CONFIG)

    assert labels.issues == ()
    assert back == result


@given(results())
def test_domain_to_label_studio_to_domain_is_identity(
    drawn: tuple[str, list[dict[str, Any]]],
) -> None:
    text, result = drawn
    labels = result_to_labels(result, text=text, config=CONFIG)
    written = labels_to_result(labels.entities, labels.relations, text=text, config=CONFIG)

    assert result_to_labels(written, text=text, config=CONFIG) == labels


@given(results())
def test_turning_every_arrow_around_changes_nothing(
    drawn: tuple[str, list[dict[str, Any]]],
) -> None:
    text, result = drawn
    turned = [
        {**item, "direction": "left", "from_id": item["to_id"], "to_id": item["from_id"]}
        if item.get("direction") == "right"
        else item
        for item in result
    ]

    assert result_to_labels(turned, text=text, config=CONFIG) == result_to_labels(
        result, text=text, config=CONFIG
    )


@given(results())
def test_what_the_editor_submits_is_a_valid_prediction(
    drawn: tuple[str, list[dict[str, Any]]],
) -> None:
    text, result = drawn

    assert validate_prediction({"result": result}, text=text, config=CONFIG) == []


@given(spoiled())
def test_whatever_comes_in_what_leaves_is_valid_and_has_no_dangling_relation(
    drawn: tuple[str, dict[str, Any]],
) -> None:
    text, prediction = drawn
    before = copy.deepcopy(prediction)

    cleaned = clean_prediction(prediction, text=text, config=CONFIG)

    result = cleaned.prediction["result"]
    ends = {
        item[end] for item in result if item["type"] == "relation" for end in ("from_id", "to_id")
    }
    assert validate_prediction(cleaned.prediction, text=text, config=CONFIG) == []
    assert ends <= {item.get("id") for item in result if item["type"] != "relation"}
    assert bool(cleaned.dropped) == bool(validate_prediction(prediction, text=text, config=CONFIG))
    assert repr(prediction) == repr(before)


@given(spoiled())
def test_whatever_comes_in_the_labels_read_make_a_document(
    drawn: tuple[str, dict[str, Any]],
) -> None:
    text, prediction = drawn
    items = prediction.get("result")

    labels = result_to_labels(items if isinstance(items, list) else [], text=text, config=CONFIG)

    document = Document(id="d", text=text, entities=labels.entities, relations=labels.relations)
    assert all(document.mention(entity) for entity in document.entities)
