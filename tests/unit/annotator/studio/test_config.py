from __future__ import annotations

import colorsys
import re

import pytest

from annotator.domain import LabelSchema
from annotator.errors import ConfigError
from annotator.studio.config import build_config, parse_config

TEXT = '<Text name="text" value="$note"/>'
LABELS = '<Labels name="label" toName="text"><Label value="Drug"/><Label value="Dose"/></Labels>'


def test_the_parts_of_a_configuration_are_read() -> None:
    relations = '<Relations><Relation value="has-dose"/><Relation value="causes"/></Relations>'

    config = parse_config(f"<View>{relations}{LABELS}{TEXT}</View>")

    assert (config.text_field, config.text_name, config.control_name) == ("note", "text", "label")
    assert config.schema == LabelSchema(
        entity_types=("Drug", "Dose"), relation_types=("has-dose", "causes")
    )


def test_several_controls_on_one_text_share_the_labels_among_them() -> None:
    second = '<Labels name="more" toName="text"><Label value="Drug"/><Label value="Sign"/></Labels>'

    config = parse_config(f"<View>{LABELS}{second}{TEXT}</View>")

    assert config.control_names == ("label", "more")
    assert config.labels == ("Drug", "Dose", "Sign")
    assert [config.control_of(one) for one in ("Drug", "Sign", "Nope")] == [*config.controls, None]


@pytest.mark.parametrize(
    ("xml", "layout", "kind"),
    [
        (
            '<ParagraphLabels name="l" toName="t"><Label value="A"/></ParagraphLabels>'
            '<Paragraphs name="t" value="$talk" nameKey="who" textKey="said"/>',
            "paragraphs",
            "paragraphlabels",
        ),
        (
            '<HyperTextLabels name="l" toName="t"><Label value="A"/></HyperTextLabels>'
            '<HyperText name="t" value="$talk"/>',
            "hypertext",
            "hypertextlabels",
        ),
        (
            '<Labels name="l" toName="t"><Label value="A"/></Labels>'
            '<HyperText name="t" value="$talk"/>',
            "hypertext",
            "labels",
        ),
    ],
)
def test_dialogs_and_pages_are_read_with_their_controls(xml: str, layout: str, kind: str) -> None:
    config = parse_config(f"<View>{xml}</View>")

    assert (config.layout, config.text_field, config.controls[0].kind) == (layout, "talk", kind)
    keys = ("who", "said") if layout == "paragraphs" else ("author", "text")
    assert (config.name_key, config.text_key) == keys


def test_an_alias_is_the_name_that_results_carry() -> None:
    labels = '<Labels name="label" toName="text"><Label value="Arznei" alias="Drug"/></Labels>'

    assert parse_config(f"<View>{labels}{TEXT}</View>").labels == ("Drug",)


def test_other_controls_and_texts_beside_the_labels_are_allowed() -> None:
    choices = '<Choices name="c" toName="text"><Choice value="a"/></Choices>'
    shown = '<Text name="before" value="$before"/><Header value="Note"/>'

    assert parse_config(f"<View>{shown}{LABELS}{TEXT}{choices}</View>").text_field == "note"


def test_case_of_tags_and_attributes_does_not_count() -> None:
    xml = (
        '<view><labels name="l" toname="t"><label value="A"/></labels>'
        '<text name="t" value="$x"/></view>'
    )

    assert parse_config(xml).labels == ("A",)


def test_a_label_with_blanks_at_its_edge_is_usable_and_keeps_its_spelling() -> None:
    labels = (
        '<Labels name="label" toName="text"><Label value="Drug "/><Label value="Dose"/></Labels>'
    )
    relations = '<Relations><Relation value=" causes"/></Relations>'

    config = parse_config(f"<View>{labels}{relations}{TEXT}</View>")

    assert config.schema == LabelSchema(entity_types=("Drug", "Dose"), relation_types=("causes",))
    assert [config.controls[0].spell(one) for one in ("Drug", "Dose", "Sign")] == [
        "Drug ",
        "Dose",
        "Sign",
    ]
    assert config.spell_relation("causes") == " causes"


@pytest.mark.parametrize("value", ["note.text", "notes[0]", "a.b[1].c", "_x1"])
def test_a_field_may_be_a_path(value: str) -> None:
    config = parse_config(f'<View>{LABELS}<Text name="text" value="${value}"/></View>')

    assert config.text_field == value


def test_the_digest_follows_the_xml() -> None:
    one, two = (
        parse_config(f"<View>{LABELS}{TEXT}</View>"),
        parse_config(f"<View> {LABELS}{TEXT}</View>"),
    )

    assert re.fullmatch(r"[0-9a-f]{64}", one.digest)
    assert one.digest != two.digest


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        pytest.param("<View><Text", "not XML: line 1", id="no-xml"),
        pytest.param("", "not XML", id="empty"),
        pytest.param("<View>\x00</View>", "not XML", id="illegal-character"),
        pytest.param(f"<View>{TEXT}</View>", "no <Labels> control", id="no-labels"),
        pytest.param(f"<View>{LABELS}</View>", "no <Labels> control points", id="no-text"),
        pytest.param(
            f'<View><Labels name="l" toName="text"/>{TEXT}</View>', "has no <Label>", id="no-label"
        ),
        pytest.param(
            f'<View><Labels name="l" toName="text" value="$labels"/>{TEXT}</View>',
            "from the task",
            id="labels-from-the-task",
        ),
        pytest.param(
            '<View><ParagraphLabels name="l" toName="p"><Label value="A"/></ParagraphLabels>'
            '<Paragraphs name="p" value="$p" valueType="url"/></View>',
            '<Paragraphs name="p"> loads its text from a URL',
            id="paragraphs-url",
        ),
        pytest.param(
            '<View><ParagraphLabels name="l" toName="h"><Label value="A"/></ParagraphLabels>'
            '<HyperText name="h" value="$h"/></View>',
            "<HyperTextLabels>: of <HyperText>",
            id="wrong-control",
        ),
        pytest.param(
            f'<View>{LABELS}<Text name="text" value="Note: $note"/></View>',
            "exactly one field",
            id="composed-text",
        ),
        pytest.param(
            f'<View>{LABELS}<Text name="text" value="$note" valueType="url"/></View>',
            "from a URL",
            id="text-from-url",
        ),
        pytest.param(
            f'<View>{LABELS}<Text name="text" value="$note" encoding="base64"/></View>',
            "encoding",
            id="encoded-text",
        ),
        pytest.param(
            f'<View>{LABELS}{TEXT}<Labels name="o" toName="t2"><Label value="B"/></Labels>'
            '<Text name="t2" value="$b"/></View>',
            "2 different texts",
            id="two-texts",
        ),
        pytest.param(f"<View>{LABELS}{LABELS}{TEXT}</View>", "share one name", id="same-name"),
        pytest.param(
            f'<View><Labels toName="text"><Label value="A"/></Labels>{TEXT}</View>',
            "has no name",
            id="no-name",
        ),
        pytest.param(
            f'<View><Labels name="l" toName="text"><Label value="A"/><Label value="A "/></Labels>'
            f"{TEXT}</View>",
            """<Labels name="l"> has the label 'A'""",
            id="same-but-for-blanks",
        ),
        pytest.param(
            f'<View><Labels name="l" toName="text"><Label value="  "/></Labels>{TEXT}</View>',
            """<Labels name="l"> has the label '  '""",
            id="label-of-blanks",
        ),
        pytest.param(
            f'<View>{LABELS}<Relations><Relation value=" x"/><Relation value="x"/></Relations>'
            f"{TEXT}</View>",
            "<Relations> has the label ' x'",
            id="relations-but-for-blanks",
        ),
        *(
            pytest.param(
                f'<View>{LABELS}<Text name="text" value="{value}"/></View>',
                "Label Studio finds no others",
                id=value,
            )
            for value in ("$note-text", "$Note Text", "$nöte", "note", "$")
        ),
        pytest.param("<View>" + " " * 1_000_001, "characters", id="too-long"),
    ],
)
def test_an_unusable_configuration_is_refused_in_plain_words(xml: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(reason)):
        parse_config(xml)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>',
        '<!doctype v SYSTEM "http://example.com/x.dtd">',
        '<?xml version="1.0"?><! DOCTYPE v>',
    ],
    ids=["bomb", "external", "spaced"],
)
def test_declarations_of_entities_are_refused_before_parsing(head: str) -> None:
    with pytest.raises(ConfigError, match="DOCTYPE"):
        parse_config(f"{head}<View>{LABELS}{TEXT}</View>")


@pytest.mark.parametrize("unit", ["sentence", "document"])
def test_a_built_configuration_reads_back_as_its_schema(unit: str) -> None:
    schema = LabelSchema(entity_types=("Drug", 'A & "B" <c>', "Ä"), relation_types=("x<y",))

    config = parse_config(build_config(schema, unit=unit))  # type: ignore[arg-type]

    assert config.schema == schema
    assert config.text_field == "text"


def test_only_a_sentence_shows_its_surroundings() -> None:
    schema = LabelSchema(entity_types=("Drug",))

    assert '"$before"' in build_config(schema, unit="sentence")
    assert '"$before"' not in build_config(schema, unit="document")
    assert "<Relation" not in build_config(schema, unit="document")


def test_forty_labels_have_forty_colours_and_nine_hotkeys() -> None:
    schema = LabelSchema(entity_types=tuple(f"T{number}" for number in range(40)))

    xml = build_config(schema, unit="document")
    colours = re.findall(r'background="#(\w{6})"', xml)
    lightness = [
        colorsys.rgb_to_hls(*(part / 255 for part in bytes.fromhex(c)))[1] for c in colours
    ]

    assert len(set(colours)) == 40
    assert max(lightness) < 0.65
    assert re.findall(r'hotkey="(\d)"', xml) == [str(digit) for digit in range(1, 10)]


def test_a_schema_without_entities_has_no_configuration() -> None:
    with pytest.raises(ConfigError, match="at least one entity type"):
        build_config(LabelSchema(entity_types=()), unit="document")
