"""Offsets of dialogs and of HTML pages, against what a browser recorded and by round trips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.errors import TaskFormatError
from annotator.studio.codec import labels_to_result, result_to_labels
from annotator.studio.config import LabelConfig, parse_config
from annotator.studio.html import read_html
from annotator.studio.page import (
    DialogPage,
    HtmlPage,
    PlainPage,
    compose_data,
    open_page,
    shown_text,
)
from annotator.studio.validation import clean_prediction, validate_prediction

RECORDED: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "contract/recorded/49-ui-hypertext-paragraphs.json").read_text()
)
PARAGRAPHS = parse_config(
    '<View><ParagraphLabels name="label" toName="text"><Label value="Drug"/></ParagraphLabels>'
    '<Paragraphs name="text" value="$turns"/></View>'
)
HYPERTEXT = parse_config(
    '<View><HyperTextLabels name="label" toName="text"><Label value="Drug"/></HyperTextLabels>'
    '<HyperText name="text" value="$html"/></View>'
)
TEXT = parse_config(
    '<View><Labels name="label" toName="text"><Label value="Drug"/></Labels>'
    '<Text name="text" value="$text"/></View>'
)
RECORDINGS = [
    pytest.param(PARAGRAPHS, RECORDED["paragraphs"], id="paragraphs"),
    pytest.param(HYPERTEXT, RECORDED["hypertext"], id="hypertext"),
]
signs = st.text(alphabet="ab \n\r😀é\u0301&<>", max_size=12)


@pytest.mark.parametrize(("config", "recorded"), RECORDINGS)
def test_what_a_browser_drew_is_found_at_its_words(
    config: LabelConfig, recorded: dict[str, Any]
) -> None:
    page = open_page(recorded, config)

    labels = result_to_labels(recorded["result"], text=page, config=config)

    assert labels.issues == ()
    assert [page.text[e.start : e.end] for e in labels.entities] == [
        region["value"]["text"] for region in recorded["result"]
    ]


@pytest.mark.parametrize(("config", "recorded"), RECORDINGS)
def test_what_is_written_is_what_a_browser_would_write(
    config: LabelConfig, recorded: dict[str, Any]
) -> None:
    page = open_page(recorded, config)
    labels = result_to_labels(recorded["result"], text=page, config=config)

    written = labels_to_result(labels.entities, [], text=page, config=config)

    wanted = [{k: v for k, v in region.items() if k != "origin"} for region in recorded["result"]]
    assert written == wanted
    prediction = {"result": written, "score": 0.5, "model_version": "v1"}
    assert validate_prediction(prediction, text=page, config=config) == []


FIRST, SECOND = ("/p[1]/text()[1]", 5, 12), ("/p[1]/text()[2]", 5, 12)
DRAWN: dict[str, tuple[str, tuple[str, int, int], tuple[int, int]]] = {
    # The page, the XPath and offsets, and the globalOffsets that the editor gave for one word.
    "lines": (
        "<p>On Monday<br>Gave statins at 9<br>Gave fibrates at 10<br>Gave statins again</p>",
        SECOND,
        (15, 22),
    ),
    "whole page": (
        "<!DOCTYPE html>\n<html>\n<head>\n<title>A note</title>\n</head>\n<body>\n"
        "<p>Gave statins at 9.</p>\n<p>Gave fibrates and statins.</p>\n</body>\n</html>\n",
        FIRST,
        (6, 13),
    ),
    "leading blanks": ("\n\n  <p>Gave statins at 9.</p>\n<p>No statins</p>", FIRST, (5, 12)),
    "styles and scripts": (
        "<p>Gave statins<script>var a = '<p>';</script></p><style>p {color: red}</style>",
        FIRST,
        (5, 12),
    ),
    "comments": (
        "<p>Gave <!-- not statins --><!--[if mso]>x<![endif]-->statins</p>",
        FIRST,
        (5, 12),
    ),
}


@pytest.mark.parametrize(("html", "place", "counted"), DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("without", ["nothing", "globalOffsets", "XPaths"])
def test_a_word_drawn_on_a_page_is_found_by_its_path_or_else_by_its_count(
    html: str, place: tuple[str, int, int], counted: tuple[int, int], without: str
) -> None:
    (path, begin, stop), (start, end) = place, counted
    value: dict[str, Any] = {"text": "statins"}
    if without != "XPaths":
        value |= {"start": path, "startOffset": begin, "end": path, "endOffset": stop}
    if without != "globalOffsets":
        value["globalOffsets"] = {"start": start, "end": end}
    page = open_page({"html": html}, HYPERTEXT)

    start, end = page.find(value)

    assert page.text[start:end] == "statins"
    assert start == page.text.index("statins")
    assert not page.miscounts(value)
    assert page.place(start, end) == page.place(start, end) | value


def test_where_counts_and_paths_differ_the_paths_are_right_and_it_is_told() -> None:
    page = open_page({"html": DRAWN["lines"][0]}, HYPERTEXT)
    region = {"id": "a", "type": "hypertextlabels", "from_name": "label", "to_name": "text"}
    value = page.place(15, 22) | {"globalOffsets": {"start": 14, "end": 21}}
    value |= {"hypertextlabels": ["Drug"]}

    labels = result_to_labels([{**region, "value": value}], text=page, config=HYPERTEXT)

    assert [(one.start, one.end) for one in labels.entities] == [(15, 22)]
    assert [(issue.kind, issue.kept) for issue in labels.issues] == [("offsets_differ", True)]


@pytest.mark.parametrize(
    "html",
    [
        "<title>Seen</title><style>.seen{}</style>",
        '<p hidden="hidden">seen</p>',
        '<div style="color: red; display : none"><b>seen</b></div>',
        "<template><p>seen</p></template>",
        "<textarea>seen</textarea><select><option>seen</select>",
        "<noscript>seen</noscript><script>seen()</script><iframe>seen</iframe>",
        "<!--seen--><![CDATA[seen]]><?seen?><!seen>",
        "<svg><title>seen</title><desc>seen</desc></svg>",
    ],
)
@pytest.mark.parametrize("is_inline", [False, True])
def test_what_nobody_sees_is_not_in_the_text(html: str, is_inline: bool) -> None:
    page = HtmlPage(read_html(f"<p>Pain</p>{html}<p>Rash</p>", is_inline=is_inline))

    assert page.text == "Pain\nRash"
    assert page.find(page.place(5, 9)) == (5, 9)


def test_the_editor_shows_what_is_hidden_without_a_value() -> None:
    assert HtmlPage(read_html("<p>Pain <b hidden>and</b> rash</p>")).text == "Pain and rash"


def test_a_region_that_begins_in_what_nobody_sees_begins_with_what_follows() -> None:
    page = HtmlPage(read_html("<p>Pain <b hidden='until-found'>bad</b>rash</p>"))
    value = page.place(0, 9) | {"start": "/p[1]/b[1]/text()[1]", "startOffset": 1}

    start, end = page.find(value)

    assert page.text[start:end] == "rash"


def test_an_end_after_a_line_break_ends_with_the_line() -> None:
    page = HtmlPage(read_html("<p>Pain<br>Rash</p>"))

    assert page.find({"globalOffsets": {"start": 1, "end": 5}}) == (1, 4)


def test_an_inline_page_keeps_in_its_root_what_a_frame_puts_into_the_head() -> None:
    html, inline = (
        "<title>A note</title><p>Rash</p>",
        HYPERTEXT.xml.replace("/></View>", ' inline="true"/></View>'),
    )

    framed = open_page({"html": html}, HYPERTEXT).place(0, 4)
    inlined = open_page({"html": html}, parse_config(inline)).place(0, 4)

    assert (framed["globalOffsets"]["start"], inlined["globalOffsets"]["start"]) == (0, 6)


def test_blocks_are_apart_in_the_text_and_only_line_breaks_are_counted() -> None:
    page = HtmlPage(read_html("<div>Fever<p>Rash</p></div>Pain<br>Cough <i>dry</i>"))

    assert page.text == "Fever\nRash\nPain\nCough dry"
    value = page.place(11, 15)
    assert value["globalOffsets"] == {"start": 9, "end": 13}
    assert (value["start"], value["startOffset"], value["endOffset"]) == ("/text()[1]", 0, 4)
    assert page.find(value) == (11, 15)


def test_a_browsers_own_elements_are_in_the_paths() -> None:
    html = read_html("<table><tr><td>rash</td></tr></table><p>one<p>two")

    assert [node.path for node in html.nodes] == [
        "/table[1]/tbody[1]/tr[1]/td[1]/text()[1]",
        "/p[1]/text()[1]",
        "/p[2]/text()[1]",
    ]


def test_a_span_over_two_nodes_names_both() -> None:
    page = HtmlPage(read_html("<p>severe <b>skin</b> rash</p>"))

    value = page.place(7, 16)

    assert (value["start"], value["startOffset"]) == ("/p[1]/b[1]/text()[1]", 0)
    assert (value["end"], value["endOffset"]) == ("/p[1]/text()[2]", 5)
    assert value["text"] == "skin rash"
    assert page.find(value) == (7, 16)


def test_a_span_over_two_turns_names_both() -> None:
    page = DialogPage(["Any pain?", "Yes, a rash"])

    value = page.place(4, 13)

    assert [value[k] for k in ("start", "startOffset", "end", "endOffset")] == ["0", 4, "1", 3]
    assert page.find(value) == (4, 13)


def draw_span(page: Any, data: st.DataObject) -> list[tuple[int, int]]:
    """Draw a span that neither begins nor ends with a line break; none from a page without any."""
    spans = [
        (a, b)
        for a in range(len(page.text))
        for b in range(a + 1, len(page.text) + 1)
        if page.text[a] != "\n" and page.text[b - 1] != "\n"
    ]
    return [data.draw(st.sampled_from(spans))] if spans else []


@given(turns=st.lists(signs, min_size=1, max_size=4), data=st.data())
def test_every_span_of_a_dialog_comes_back(turns: list[str], data: st.DataObject) -> None:
    page = DialogPage(turns)
    for start, end in draw_span(page, data):
        assert page.find(page.place(start, end)) == (start, end)


@given(
    parts=st.lists(
        st.tuples(st.sampled_from(["p", "b", "div", "i", "li"]), signs), min_size=1, max_size=4
    ),
    data=st.data(),
)
def test_every_span_of_a_page_comes_back(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    def escape(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;")

    page = HtmlPage(read_html("".join(f"<{tag}>{escape(text)}</{tag}>" for tag, text in parts)))
    for start, end in draw_span(page, data):
        value = page.place(start, end)
        assert page.find(value) == (start, end)
        del value["globalOffsets"]
        assert page.find(value) == (start, end)


@pytest.mark.parametrize("config", [TEXT, PARAGRAPHS, HYPERTEXT], ids=lambda one: one.layout)
@given(text=st.text(alphabet="ab \n\r😀&<>é\u0301\t", min_size=1, max_size=20))
def test_a_task_that_we_make_shows_its_text_as_it_is(config: LabelConfig, text: str) -> None:
    shown = open_page({config.text_field: compose_data(text, config)}, config).text

    assert shown == shown_text(text, config)
    assert len(shown) == len(text)


def test_html_shows_a_carriage_return_as_a_blank_or_a_line_feed() -> None:
    assert shown_text("a\r\nb\rc", HYPERTEXT) == "a \nb\nc"
    assert shown_text("a\r\nb\rc", TEXT) == "a\r\nb\rc"


@pytest.mark.parametrize(
    ("config", "data", "says"),
    [
        (TEXT, None, "data must be an object"),
        (TEXT, {}, "data.text must be a text, found NoneType"),
        (PARAGRAPHS, {"turns": "Dr: pain?"}, "data.turns must be a list of turns, found str"),
        (PARAGRAPHS, {"turns": []}, "must be a list of turns"),
        (PARAGRAPHS, {"turns": [{"author": "Dr"}]}, r"data.turns\[0\].text must be a text"),
        (HYPERTEXT, {"html": ["<p>"]}, "data.html must be a text"),
        (HYPERTEXT, {"html": "<div>" * 400 + "a"}, "nested deeper than 200"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_place(
    config: LabelConfig, data: Any, says: str
) -> None:
    with pytest.raises(TaskFormatError, match=says):
        open_page(data, config)


@pytest.mark.parametrize(
    ("page", "value", "says"),
    [
        (PlainPage("rash"), {"start": "x", "end": 2}, "no whole numbers"),
        (DialogPage(["rash"]), {"start": "1", "startOffset": 0}, "names turn 1, of 1"),
        (DialogPage(["rash"]), {"start": "0", "startOffset": 9}, "offset 9 in a text of 4 units"),
        (DialogPage(["😀"]), {"start": "0", "startOffset": 1}, "inside a character"),
        (DialogPage(["rash"]), {"start": "0", "startOffset": None}, "no whole numbers"),
        (HtmlPage(read_html("<p>a</p>")), {"start": "/p[2]/text()[1]"}, "a text node that is not"),
        (HtmlPage(read_html("<p>a</p>")), {"start": ["/p"]}, "a text node that is not"),
        (HtmlPage(read_html("")), {"start": "/text()[1]"}, "a text node that is not"),
    ],
)
def test_a_value_of_another_kind_is_no_span(page: Any, value: dict[str, Any], says: str) -> None:
    with pytest.raises(TaskFormatError, match=says):
        page.find(value)


@pytest.mark.parametrize("offset", [-1, 99])
def test_offsets_outside_their_node_are_told(offset: int) -> None:
    page = open_page(RECORDED["hypertext"], HYPERTEXT)
    region = json.loads(json.dumps(RECORDED["hypertext"]["result"][0]))
    region["value"]["endOffset"] = offset
    del region["value"]["text"]

    labels = result_to_labels([region], text=page, config=HYPERTEXT)
    cleaned = clean_prediction({"result": [region]}, text=page, config=HYPERTEXT)

    assert [issue.kind for issue in labels.issues] == ["bad_region"]
    assert cleaned.prediction["result"] == []


def test_offsets_of_the_wrong_type_do_not_leave() -> None:
    page = open_page(RECORDED["paragraphs"], PARAGRAPHS)
    region = json.loads(json.dumps(RECORDED["paragraphs"]["result"][0]))
    region["value"]["start"] = 1  # Label Studio's editor wants the turn as a text

    cleaned = clean_prediction({"result": [region]}, text=page, config=PARAGRAPHS)

    assert cleaned.prediction["result"] == []
