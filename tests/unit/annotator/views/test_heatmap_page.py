"""The page holds everything itself, escapes every word, and lets no other script run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from annotator.views import AttentionView, render_html


class Outline(HTMLParser):
    """The tags of a page, its cells' titles and its row headings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def titles(self) -> list[str]:
        cells = [attributes for tag, attributes in self.tags if tag == "td"]
        return [title for cell in cells if (title := cell.get("title"))]


@pytest.fixture(params=["head", "patterns", "grid"])
def page(request: pytest.FixtureRequest, view: AttentionView) -> str:
    panels = {
        "head": (view.head_panel(layer=1, head=2),),
        "patterns": view.pattern_panels(),
        "grid": None,
    }
    return render_html(view, panels[request.param])


def test_no_word_and_no_name_becomes_markup(page: str) -> None:
    outline = Outline(page)

    assert "<script>alert" not in page
    assert "<ward>" not in page
    assert "&lt;ward&gt;-1 &amp; co" in page
    assert [tag for tag, _ in outline.tags].count("script") in (0, 2)
    assert "script" in outline.text  # the word itself is shown


def test_nothing_is_fetched_from_anywhere(page: str) -> None:
    outline = Outline(page)

    links = [a for _, attributes in outline.tags for a in attributes if a in ("src", "href")]
    assert links == []
    assert re.findall(r"https?:|@import|url\(", page) == []


def test_only_the_pages_own_script_may_run(page: str) -> None:
    policy = next(
        a["content"] or ""
        for _, a in Outline(page).tags
        if "Security" in (a.get("http-equiv") or "")
    )
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)

    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert policy.startswith("default-src 'none'; ")
    assert re.findall(r"'sha256-(\S+)'", policy) == digests
    assert "script-src 'unsafe" not in policy


def test_both_schemes_of_colour_are_there(page: str) -> None:
    assert "prefers-color-scheme: dark" in page


def test_each_square_tells_its_value(view: AttentionView) -> None:
    outline = Outline(render_html(view, (view.head_panel(layer=2, head=3),)))

    matrix = view.columns()[1, 2]
    expected = [
        f"{word} → {target}: {matrix[i, j]:.3f}"
        for i, word in enumerate(view.words)
        for j, target in enumerate(view.column_labels)
    ]
    assert outline.titles() == expected


def test_a_page_without_a_picker_needs_no_script(view: AttentionView) -> None:
    page = render_html(view, view.pattern_panels())

    assert "<script" not in page
    assert page.count('<table class="map">') == 5


def test_a_page_with_a_picker_holds_the_attention_of_all_heads(view: AttentionView) -> None:
    page = render_html(view, None)

    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    raw = np.frombuffer(base64.b64decode(data["weights"]), dtype="<u2") / 65_535
    shape = (data["layers"], data["heads"], data["words"], data["words"] + 2)
    np.testing.assert_allclose(raw.reshape(shape), view.columns(), atol=1e-5)
    assert page.count("<canvas") == 8
