"""The text nodes of pages, against what the editor of a real Label Studio had in Chromium."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from annotator.studio.html import read_html
from annotator.studio.sanitizer import clean_html

RECORDED = Path(__file__).parents[3] / "contract/recorded/52-ui-html-nodes.json"
PAGES: dict[str, Any] = json.loads(RECORDED.read_text(encoding="utf-8"))["pages"]


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("kind", ["frame", "inline"])
def test_the_text_nodes_of_a_page_are_those_of_the_editor(page: Any, kind: str) -> None:
    html = read_html(page["html"], is_inline=kind == "inline")

    assert {node.path: node.text for node in html.nodes} == page.get(kind, page["frame"])


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_what_was_cleaned_once_stays_as_it_is(page: Any) -> None:
    cleaned = clean_html(page["html"])

    assert clean_html(cleaned) == cleaned


BROKEN = ["<", "<a ", "<a b=", "<a b='", "<!--", "&", "<style>", "</a", "<b><i>", "</b></i>", "<p/"]


@pytest.mark.parametrize("bit", BROKEN)
def test_a_page_of_nothing_but_broken_tags_takes_no_time(bit: str) -> None:
    begin = time.monotonic()

    clean_html(bit * 20_000 + "</x>" * 20_000)

    assert time.monotonic() - begin < 5
