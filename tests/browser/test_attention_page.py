"""The page of attention views in a real browser: it runs under its own policy and picks heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from annotator.model import load_encoder
from annotator.views import AttentionView, view_attention, write_view

pytestmark = pytest.mark.slow

TEXT = "Aspirin </td><script>window.stolen = 1</script> & rash"


@dataclass
class Watched:
    """A page together with all that went wrong in it and all it asked for."""

    page: Page
    problems: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def view(tiny_encoder: Path) -> AttentionView:
    return view_attention(TEXT, load_encoder(str(tiny_encoder)), source="tiny")


@pytest.fixture(params=["light", "dark"])
def watched(
    request: pytest.FixtureRequest, browser: Browser, view: AttentionView, tmp_path: Path
) -> Iterator[Watched]:
    """The page with all heads, opened from its file."""
    file = tmp_path / "view.html"
    write_view(view, None, file)
    context = browser.new_context(color_scheme=request.param)
    watched = Watched(context.new_page())
    watched.page.on("pageerror", lambda error: watched.problems.append(str(error)))
    watched.page.on("console", lambda message: watched.problems.append(message.text))
    watched.page.on("request", lambda asked: watched.asked.append(asked.url))
    watched.page.goto(file.as_uri())
    yield watched
    context.close()


def title_of(view: AttentionView, *, layer: int, head: int) -> str:
    value = view.columns()[layer - 1, head - 1, 0, 1]
    return f"{view.words[0]} → {view.words[0]}: {value:.3f}"


def test_a_head_is_picked_from_the_overview_or_by_number(
    watched: Watched, view: AttentionView
) -> None:
    page = watched.page
    square = page.locator("#large .map tbody td").nth(1)

    page.get_by_role("table", name="All heads").get_by_label("layer 2, head 3").click()
    expect(page.get_by_role("combobox", name="Layer", exact=True)).to_have_value("2")
    expect(square).to_have_attribute("title", title_of(view, layer=2, head=3))
    page.get_by_role("combobox", name="Head", exact=True).select_option("4")

    expect(square).to_have_attribute("title", title_of(view, layer=2, head=4))
    expect(page.locator("[aria-pressed=true]")).to_have_attribute("data-head", "4")
    assert watched.problems == []


def test_the_page_asks_for_nothing_and_words_do_not_run(watched: Watched) -> None:
    expect(watched.page.locator(".overview")).to_be_visible()

    assert watched.page.evaluate("window.stolen") is None
    assert len(watched.asked) == 1
    assert watched.problems == []


def test_small_maps_are_painted(watched: Watched) -> None:
    pixels = watched.page.locator("canvas").first.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )

    assert len(set(pixels[3::4])) > 5
