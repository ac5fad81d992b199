from __future__ import annotations

from typing import Any

import pytest

from annotator.domain import Entity, Relation
from annotator.errors import TaskFormatError
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import parse_config
from annotator.studio.validation import validate_prediction

from .builders import CONFIG, DOSE, TEXT, link, region


def read(*items: Any) -> Any:
    return result_to_labels(list(items), text=TEXT, config=CONFIG)


def kinds(labels: Any) -> list[str]:
    return [issue.kind for issue in labels.issues]


def test_offsets_are_code_points_of_the_text() -> None:
    labels = read(region(value={"text": "aspirin"}, score=0.5))

    assert labels.entities == (Entity(id="a", type="Drug", start=7, end=14, score=0.5),)
    assert labels.issues == ()


def test_a_relation_may_come_before_its_regions() -> None:
    labels = read(link(labels=["has-dose"]), region(), DOSE)

    assert labels.relations == (Relation(type="has-dose", head="a", tail="b"),)


@pytest.mark.parametrize(
    ("item", "relation"),
    [
        pytest.param(
            link(direction="left", labels=["causes"]),
            Relation(type="causes", head="b", tail="a"),
            id="left",
        ),
        pytest.param(
            link(direction="bi", labels=["causes"]),
            Relation(type="causes", head="a", tail="b", bidirectional=True),
            id="bi",
        ),
        pytest.param(link(), Relation(type=None, head="a", tail="b"), id="no-labels"),
        pytest.param(link(labels=[]), Relation(type=None, head="a", tail="b"), id="empty-labels"),
    ],
)
def test_directions_and_missing_labels_are_normalised(
    item: dict[str, Any], relation: Relation
) -> None:
    labels = read(region(), DOSE, item)

    assert labels.relations == (relation,)
    assert labels.issues == ()


def test_several_labels_on_a_span_become_several_entities_and_one_again() -> None:
    several = region(value={"labels": ["Drug", "Dose"], "text": "aspirin"})
    items = [several, region("b", 15, 21, value={"text": "500 mg"}), link(labels=["causes"])]

    labels = read(*items)

    assert [(one.id, one.type) for one in labels.entities] == [
        ("a", "Drug"),
        ("a:2", "Dose"),
        ("b", "Drug"),
    ]
    assert labels.relations[0].head == "a"
    back = labels_to_result(labels.entities, labels.relations, text=TEXT, config=CONFIG)
    assert back == items


def test_the_second_label_never_takes_the_id_of_another_region() -> None:
    labels = read(region(value={"labels": ["Drug", "Dose"]}), region("a:2", 0, 4))

    assert [one.id for one in labels.entities] == ["a", "a:3", "a:2"]


def test_several_labels_on_a_relation_become_several_relations_and_one_again() -> None:
    items = [region(value={"text": "aspirin"}), region("b", 15, 21, value={"text": "500 mg"})]
    both = link(labels=["has-dose", "causes"])

    labels = read(*items, both)

    assert [one.type for one in labels.relations] == ["has-dose", "causes"]
    back = labels_to_result(labels.entities, labels.relations, text=TEXT, config=CONFIG)
    assert back == [*items, both]


def test_unknown_labels_are_kept_and_reported() -> None:
    labels = read(region(value={"labels": ["Gene"]}), region("b", 15, 21), link(labels=["binds"]))

    assert labels.entities[0].type == "Gene"
    assert labels.relations[0].type == "binds"
    assert kinds(labels) == ["unknown_label", "unknown_label"]
    assert all(issue.kept for issue in labels.issues)


def test_a_region_of_a_renamed_control_is_kept_and_reported() -> None:
    labels = read(region(from_name="old"))

    assert len(labels.entities) == 1
    assert kinds(labels) == ["unknown_control"]


def test_labels_of_two_controls_on_one_region_are_both_kept() -> None:
    labels = read(region(), region(from_name="sign", value={"labels": ["Effect"]}))

    assert [(one.id, one.type) for one in labels.entities] == [("a", "Drug"), ("a:2", "Effect")]
    assert labels.issues == ()


def test_an_id_used_for_two_spans_is_made_unique() -> None:
    labels = read(region(), region("a", 15, 21))

    assert [one.id for one in labels.entities] == ["a", "a:2"]
    assert kinds(labels) == ["duplicate"]


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(region(start=7, end=9999, value={"text": ""}), id="past-the-end"),
        pytest.param(region(start=-1), id="negative"),
        pytest.param(region(start=14), id="empty"),
        pytest.param(region(start=None), id="no-start"),
        pytest.param(region(start=True), id="bool"),
        pytest.param(region(start=7.5), id="fraction"),
        pytest.param(region(end="14a"), id="no-number"),
        pytest.param(region(end=float("nan")), id="nan"),
        pytest.param(region(value={"labels": []}), id="no-label"),
        pytest.param(region(value={"labels": "Drug"}), id="labels-no-list"),
        pytest.param(region(value={"labels": [3, ""]}), id="labels-no-text"),
        pytest.param({**region(), "value": None}, id="no-value"),
        pytest.param("x", id="no-object"),
        pytest.param(None, id="null"),
    ],
)
def test_a_bad_region_is_left_out_with_its_relations_and_reported(item: Any) -> None:
    labels = read(item, DOSE, link())

    assert [one.id for one in labels.entities] == ["b"]
    assert labels.relations == ()
    assert kinds(labels) == ["bad_region", "bad_relation"]


def test_results_of_other_controls_and_labels_on_a_text_that_is_gone_are_told_apart() -> None:
    labels = read(region(type="choices"), region(to_name="before"))

    assert labels.entities == ()
    assert kinds(labels) == ["unsupported", "unread"]


@pytest.mark.parametrize("start", [7.0, "7"], ids=["float", "text"])
def test_whole_offsets_of_another_type_are_read(start: Any) -> None:
    assert read(region(start=start)).entities[0].start == 7


def test_a_region_without_id_gets_one_of_its_own() -> None:
    labels = read(region(None), region("", 0, 4), region(12, 15, 21), link("12", 12))

    assert [one.id for one in labels.entities] == ["region-0", "region-1", "12"]
    assert labels.relations == (Relation(type=None, head="12", tail="12"),)


@pytest.mark.parametrize(
    ("text", "start", "end", "quoted"),
    [
        ("He had low dose statins then.", 7, 23, "dose sta"),
        ("He had low dose statins then.", 7, 23, "..."),
        ("Rash ... after statins in May.", 15, 22, "..."),
        ("Na < 130 & oedema", 0, 8, "Na &lt; 130"),
        ("gave sta\u200btins", 5, 13, "statins"),
        ("statins or statins", 0, 7, "statin"),
        ("statins, later fibrates", 0, 7, "fibrates"),
    ],
    ids=["stale", "dots", "dots elsewhere", "escaped", "zero width", "part", "elsewhere"],
)
def test_the_offsets_decide_and_another_quotation_is_told(
    text: str, start: int, end: int, quoted: str
) -> None:
    labels = result_to_labels(
        [region(start=start, end=end, value={"text": quoted})], text=text, config=CONFIG
    )

    assert [(one.start, one.end) for one in labels.entities] == [(start, end)]
    assert kinds(labels) == ["mention_differs"]
    assert labels.issues[0].kept
    assert quoted not in str(labels.issues[0])


@pytest.mark.parametrize(("start", "end"), [(90, 97), (7, 99), (14, 7), (None, 14), ("x", "y")])
def test_offsets_outside_the_text_give_way_to_the_only_place_of_the_quotation(
    start: Any, end: Any
) -> None:
    labels = read(region(start=start, end=end, value={"text": "aspirin"}))

    assert (labels.entities[0].start, labels.entities[0].end) == (7, 14)
    assert kinds(labels) == ["offsets_repaired"]


@pytest.mark.parametrize("quoted", ["warfarin", "a", "", None])
def test_without_one_place_a_region_outside_the_text_is_left_out(quoted: str | None) -> None:
    labels = read(region(start=90, end=97, value={"text": quoted}))

    assert labels.entities == ()
    assert kinds(labels) == ["bad_region"]


@pytest.mark.parametrize("mention", ["ASPIRIN", " aspirin ", "", "  "])
def test_blanks_and_case_of_a_mention_do_not_count(mention: str) -> None:
    assert read(region(value={"text": mention})).issues == ()


def test_a_repeated_relation_counts_once() -> None:
    labels = read(region(), DOSE, link(labels=["causes"]), link(labels=["causes"]))

    assert len(labels.relations) == 1
    assert kinds(labels) == ["duplicate"]


@pytest.mark.parametrize("score", [2.0, -1, True, "0.5", float("nan"), 10**400])
def test_a_score_that_is_none_is_dropped(score: Any) -> None:
    assert read(region(score=score)).entities[0].score is None


@pytest.mark.parametrize("result", [None, {}, "[]", 3])
def test_a_result_that_is_no_list_is_refused(result: Any) -> None:
    with pytest.raises(TaskFormatError, match="must be a list"):
        result_to_labels(result, text=TEXT, config=CONFIG)


def test_a_prediction_names_the_control_of_each_label_and_carries_scores() -> None:
    entities = [
        Entity(id="e1", type="Drug", start=7, end=14, score=0.1234567891),
        Entity(id="e2", type="Effect", start=23, end=27, score=1.0),
    ]

    result = labels_to_result(
        entities,
        [Relation(type="causes", head="e1", tail="e2", score=0.25)],
        text=TEXT,
        config=CONFIG,
    )

    assert [item.get("from_name") for item in result] == ["label", "sign", None]
    assert [item.get("score") for item in result] == [0.123457, 1.0, 0.25]
    assert result[1]["value"] == {"start": 23, "end": 27, "text": "rash", "labels": ["Effect"]}


SPELLED = parse_config(
    """<View><Relations><Relation value=" causes "/></Relations>
    <Labels name="head" toName="text"><Label value="Drug "/></Labels>
    <Labels name="tail" toName="text"><Label value="Drug"/><Label value=" Effect"/></Labels>
    <Text name="text" value="$text"/></View>"""
)


def test_labels_are_read_without_and_written_with_the_blanks_at_their_edges() -> None:
    items = [
        region(from_name="head", value={"labels": ["Drug "], "text": "aspirin"}),
        region("b", 23, 27, from_name="tail", value={"labels": [" Effect"], "text": "rash"}),
        link(labels=[" causes "]),
    ]

    labels = result_to_labels(items, text=TEXT, config=SPELLED)

    assert labels.issues == ()
    assert [one.type for one in labels.entities] == ["Drug", "Effect"]
    assert [one.type for one in labels.relations] == ["causes"]
    written = labels_to_result(labels.entities, labels.relations, text=TEXT, config=SPELLED)
    assert written == items
    assert validate_prediction({"result": written}, text=TEXT, config=SPELLED) == []


def test_a_region_is_written_back_to_the_control_it_was_drawn_with() -> None:
    items = [region(from_name="tail", value={"labels": ["Drug"], "text": "aspirin"})]

    labels = result_to_labels(items, text=TEXT, config=SPELLED)

    assert labels.controls == {"a": "tail"}
    for controls, wanted in ((labels.controls, ("tail", "Drug")), ({}, ("head", "Drug "))):
        (item,) = labels_to_result(
            labels.entities, [], text=TEXT, config=SPELLED, controls=controls
        )
        assert (item["from_name"], item["value"]["labels"][0]) == wanted


def test_a_note_on_a_region_is_told() -> None:
    labels = read(region(meta={"text": ["look again"]}))

    assert len(labels.entities) == 1
    assert kinds(labels) == ["unsupported"]
    assert "look" not in str(labels.issues[0])
