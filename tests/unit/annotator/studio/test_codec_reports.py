"""What reading a result says of each thing that it could not take over as it was."""

from __future__ import annotations

from typing import Any

import pytest

from annotator.domain import Entity, Relation
from annotator.errors import TaskFormatError
from annotator.studio.codec import StudioIssue, labels_to_result, result_to_labels

from .builders import CONFIG, DOSE, TEXT, link, region

SPELLED = region(value={"labels": ["Drug", 3]})
CASES: dict[str, tuple[list[Any], str, str, str, bool]] = {
    "no object": (["x"], "bad_region", "item 0", "is no object", False),
    "no value": ([{**region(), "value": None}], "bad_region", "region a", "has no value", False),
    "other kind": ([region(type="choices")], "unsupported", "region a", "is not a <Labels>", False),
    "other text": ([region(to_name="b")], "unread", "region a", "configuration lacks", False),
    "control": ([region(from_name="x")], "unknown_control", "region a", "unknown control", True),
    "no labels": (
        [region(value={"labels": []})],
        *("bad_region", "region a", "has no list of labels", False),
    ),
    "labels no text": (
        [region(value={"labels": [3]})],
        *("bad_region", "region a", "has a label that is no text", False),
    ),
    "one label no text": ([SPELLED], "bad_region", "region a", "has a label that is no text", True),
    "unknown label": (
        [region(value={"labels": ["Gene"]})],
        *("unknown_label", "region a", "has the unknown label Gene", True),
    ),
    "past the end": (
        [region(end=99, value={"text": ""})],
        *("bad_region", "region a", "spans 7..99, outside the text (length 28)", False),
    ),
    "no offset": ([region(start=None)], "bad_region", "region a", "no whole numbers", False),
    "moved": (
        [region(start=88, end=95, value={"text": "aspirin"})],
        *("offsets_repaired", "region a", "outside the text (length 28); taken at 7..14", True),
    ),
    "other words": (
        [region(value={"text": "warfarin"})],
        *("mention_differs", "region a", "quotes other words than stand at 7..14", True),
    ),
    "id twice": ([region(), region("a", 15, 21)], "duplicate", "region a", "occurs twice", True),
    "no end": ([region(), link()], "bad_relation", "relation 1", "names a region", False),
    "direction": (
        [region(), DOSE, link(direction="up")],
        *("bad_relation", "relation 2", "has no known direction; read as right", True),
    ),
    "labels no list": (
        [region(), DOSE, link(labels="causes")],
        *("bad_relation", "relation 2", "has labels that are no list; read as none", True),
    ),
    "unknown relation": (
        [region(), DOSE, link(labels=["binds"])],
        *("unknown_label", "relation 2", "has the unknown label binds", True),
    ),
    "relation label no text": (
        [region(), DOSE, link(labels=["causes", 3])],
        *("bad_relation", "relation 2", "has a label that is no text", True),
    ),
    "relation twice": (
        [region(), DOSE, link(), link()],
        *("duplicate", "relation 3", "repeats an earlier relation", False),
    ),
}


def read(items: list[Any]) -> Any:
    return result_to_labels(items, text=TEXT, config=CONFIG)


@pytest.mark.parametrize(("items", "kind", "region", "what", "kept"), CASES.values(), ids=CASES)
def test_what_does_not_fit_is_named_with_its_place_and_whether_it_was_kept(
    items: list[Any], kind: str, region: str, what: str, kept: bool
) -> None:
    (issue,) = read(items).issues

    assert (issue.kind, issue.region, issue.kept) == (kind, region, kept)
    assert str(issue).startswith(f"{region} ")
    assert what in str(issue)


@pytest.mark.parametrize(
    ("length", "shown"),
    [(53, "region " + 53 * "i"), (54, "region " + 50 * "i" + "...")],
    ids=["fits", "does not"],
)
def test_a_long_id_is_cut_in_the_message_and_whole_beside_it(length: int, shown: str) -> None:
    (issue,) = read([region("i" * length, type="choices")]).issues

    assert issue.region == "region " + length * "i"
    assert issue.message.startswith(f"{shown} is not")


def test_a_long_label_is_cut_in_the_message() -> None:
    items = [region(value={"labels": ["l" * 99]}), DOSE, link(labels=["r" * 99])]

    messages = [issue.message for issue in read(items).issues]

    assert messages == [
        f"region a has the unknown label {'l' * 60}",
        f"relation 2 has the unknown label {'r' * 60}",
    ]


@pytest.mark.parametrize(
    ("direction", "reads"),
    [({"direction": "up"}, ("a", "b")), ({"direction": None}, ("a", "b"))],
    ids=["unknown", "null"],
)
def test_a_relation_without_known_direction_goes_right(
    direction: dict[str, Any], reads: tuple[str, str]
) -> None:
    labels = read([region(), DOSE, link(**direction)])

    assert [(r.head, r.tail, r.bidirectional) for r in labels.relations] == [(*reads, False)]
    assert [issue.kind for issue in labels.issues] == ["bad_relation"]


def test_a_relation_that_names_no_direction_goes_right_without_a_word() -> None:
    plain = {key: value for key, value in link().items() if key != "direction"}

    labels = read([region(), DOSE, plain])

    assert labels.relations == (Relation(type=None, head="a", tail="b"),)
    assert labels.issues == ()


def test_labels_of_a_relation_that_are_no_list_are_read_as_none() -> None:
    assert read([region(), DOSE, link(labels="causes")]).relations == (
        Relation(type=None, head="a", tail="b"),
    )


def test_the_score_of_a_relation_is_read() -> None:
    labels = read([region(), DOSE, link(labels=["has-dose", "causes"], score=0.25)])

    assert [relation.score for relation in labels.relations] == [0.25, 0.25]


@pytest.mark.parametrize("score", [0, 0.0, 1, 1.0])
def test_scores_from_nought_to_one_are_read(score: float) -> None:
    assert read([region(score=score)]).entities[0].score == float(score)


def test_a_region_without_id_takes_none_that_is_there() -> None:
    labels = read([region(None), region("region-0", 0, 4), region("region-0-", 15, 21)])

    assert [one.id for one in labels.entities] == ["region-0--", "region-0", "region-0-"]


def test_the_same_label_twice_on_a_region_counts_once() -> None:
    labels = read([region(value={"labels": ["Drug", "Drug"]})])

    assert [one.id for one in labels.entities] == ["a"]
    assert labels.issues == ()


def test_a_relation_of_a_region_that_occurs_twice_ends_at_the_first() -> None:
    labels = read([region(), region("a", 15, 21), region("b", 0, 4), link()])

    assert labels.relations == (Relation(type=None, head="a", tail="b"),)
    assert labels.entities[0].start == 7


def test_an_issue_is_not_kept_unless_it_says_so() -> None:
    assert StudioIssue(kind="duplicate", region="a", message="m").kept is False


# ------------------------------------------------------------------ writing


def write(entities: list[Entity], relations: list[Relation]) -> list[dict[str, Any]]:
    return labels_to_result(entities, relations, text=TEXT, config=CONFIG)


def entity(name: str, type_: str = "Drug", start: int = 7, end: int = 14) -> Entity:
    return Entity(id=name, type=type_, start=start, end=end)


@pytest.mark.parametrize(
    ("second", "n_regions"),
    [
        (entity("a:2", "Dose"), 1),
        (entity("a:12", "Dose"), 1),
        (entity("a:1", "Dose"), 2),
        (entity("a:2", "Dose", 15, 21), 2),
        (entity("a:2", "Drug"), 2),
        (entity("a:2", "Effect"), 2),
        (entity("b:2", "Dose"), 2),
    ],
    ids=["second", "twelfth", "no count", "other span", "same label", "other control", "other id"],
)
def test_one_region_holds_the_labels_of_one_span_and_one_control(
    second: Entity, n_regions: int
) -> None:
    result = write([entity("a"), second], [])

    assert len(result) == n_regions
    assert [label for item in result for label in item["value"]["labels"]] == ["Drug", second.type]


@pytest.mark.parametrize("scores", [(0.25, 0.75), (0.75, 0.25), (None, 0.25), (0.25, None)])
def test_a_relation_of_several_labels_is_as_sure_as_the_least_sure(
    scores: tuple[float | None, float | None],
) -> None:
    relations = [
        Relation(type=type_, head="a", tail="b", score=score)
        for type_, score in zip(("causes", "has-dose"), scores, strict=True)
    ]

    (*_, written) = write([entity("a"), entity("b", "Dose", 15, 21)], relations)

    assert (written["labels"], written["score"]) == (["causes", "has-dose"], 0.25)


def test_the_score_of_a_relation_has_six_digits() -> None:
    relation = Relation(type="causes", head="a", tail="a", score=0.1234567891)

    assert write([entity("a")], [relation])[1]["score"] == 0.123457


def test_a_relation_to_an_entity_that_is_not_there_keeps_its_ends() -> None:
    (written,) = write([], [Relation(type="causes", head="gone", tail="lost")])

    assert (written["from_id"], written["to_id"]) == ("gone", "lost")


def test_relations_of_the_second_label_join_the_region() -> None:
    entities = [entity("a"), entity("a:2", "Dose"), entity("b", "Drug", 0, 4)]
    relations = [
        Relation(type="causes", head="a:2", tail="b"),
        Relation(type="causes", head="b", tail="a:2"),
    ]

    written = write(entities, relations)[2:]

    assert [(one["from_id"], one["to_id"]) for one in written] == [("a", "b"), ("b", "a")]


def test_with_and_without_label_and_in_both_directions_are_three_relations() -> None:
    relations = [
        Relation(type="causes", head="a", tail="b"),
        Relation(type=None, head="a", tail="b"),
        Relation(type="causes", head="a", tail="b", bidirectional=True),
    ]

    written = write([entity("a"), entity("b", "Dose", 15, 21)], relations)[2:]

    assert [(one["direction"], one.get("labels")) for one in written] == [
        ("right", ["causes"]),
        ("right", None),
        ("bi", ["causes"]),
    ]


def test_an_entity_of_an_unknown_type_is_written_under_the_first_control() -> None:
    (written,) = write([entity("a", "Gene")], [])

    assert (written["from_name"], written["value"]["labels"]) == ("label", ["Gene"])


def test_a_result_that_is_no_list_is_refused_with_what_it_is() -> None:
    with pytest.raises(TaskFormatError, match="must be a list, found dict"):
        result_to_labels({}, text=TEXT, config=CONFIG)
