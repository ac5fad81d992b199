"""The PNG is a picture that shows something."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from annotator.model.attention import WordAttention
from annotator.views import AttentionView, Panel, draw_png


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        image.verify()
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("L"))


def with_attention(view: AttentionView, shares: torch.Tensor) -> AttentionView:
    rest = torch.zeros(shares.shape[:3])
    return replace(view, attention=WordAttention(shares=shares, start=rest, end=rest))


@pytest.mark.parametrize("kind", ["patterns", "head", "grid"])
def test_a_picture_is_large_enough_and_not_blank(view: AttentionView, kind: str) -> None:
    panels = {
        "patterns": view.pattern_panels(),
        "head": (view.head_panel(layer=2, head=3),),
        "grid": None,
    }[kind]

    found = pixels(draw_png(view, panels))

    assert min(found.shape) > 300
    assert found.std() > 5


def test_stronger_attention_is_darker(view: AttentionView) -> None:
    n = len(view.words)
    even = with_attention(view, torch.full((1, 1, n, n), 1 / n))
    sharp = with_attention(view, torch.eye(n)[None, None])

    darkest = [
        int(np.percentile(pixels(draw_png(one, (Panel(layer=1, head=1),))), 2))
        for one in (even, sharp)
    ]

    assert darkest[1] < darkest[0]


def test_the_same_view_is_drawn_the_same(view: AttentionView) -> None:
    panels = (Panel(layer=1, head=2),)

    assert draw_png(view, panels) == draw_png(view, panels)


def test_two_heads_are_drawn_differently(view: AttentionView) -> None:
    first, second = (draw_png(view, (Panel(layer=1, head=head),)) for head in (1, 2))

    assert not np.array_equal(pixels(first)[150:], pixels(second)[150:])


def test_what_the_font_lacks_is_not_told_to_anybody(
    view: AttentionView, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert "😀" in view.words

    draw_png(view, (Panel(layer=1, head=1),))

    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_as_many_words_as_an_encoder_reads_make_no_boundless_picture(view: AttentionView) -> None:
    n = 400
    many = replace(
        with_attention(view, torch.eye(n).expand(1, 1, n, n)),
        words=tuple(f"word{i}" for i in range(n)),
    )

    found = pixels(draw_png(many, (Panel(layer=1, head=1),)))

    assert max(found.shape) < 3_000
