"""What a view holds, whatever it is drawn with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from annotator.errors import ConfigError, InputError
from annotator.model import load_encoder
from annotator.views import AttentionView, Panel, check_suffix, view_attention, write_view


def test_words_are_those_of_the_lossless_tokenizer(tiny_encoder: Path) -> None:
    view = view_attention("0.5mg, i.v.", load_encoder(str(tiny_encoder)), source="tiny")

    assert view.words == ("0", ".", "5", "mg", ",", "i", ".", "v", ".")


def test_long_words_are_cut_and_what_cannot_be_shown_is_replaced(tiny_encoder: Path) -> None:
    text = f"{'a' * 60} \x00 \ud800 rash"

    view = view_attention(text, load_encoder(str(tiny_encoder)), source="tiny")

    assert view.words == (f"{'a' * 23}…", "\ufffd", "\ufffd", "rash")


def test_drawn_rows_sum_to_one_between_start_and_end(view: AttentionView) -> None:
    columns = view.columns()

    n_words = len(view.words)
    assert columns.shape == (2, 4, n_words, n_words + 2)
    np.testing.assert_allclose(columns[..., 1:-1].sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(columns[..., 0], view.attention.start.numpy())
    np.testing.assert_array_equal(columns[..., -1], view.attention.end.numpy())


def test_the_panels_of_the_figure_are_the_strongest_heads(view: AttentionView) -> None:
    panels = view.pattern_panels()

    best = [heads[0] for heads in view.patterns.values()]
    assert [(p.layer, p.head) for p in panels] == [(one.layer, one.head) for one in best]
    assert panels[0].reason == f"looks at the next word ({best[0].weight:.2f})"


@pytest.mark.parametrize(("layer", "head"), [(0, 1), (3, 1), (1, 0), (1, 5), (-1, 1)])
def test_a_head_that_is_not_there_is_refused_with_what_there_is(
    view: AttentionView, layer: int, head: int
) -> None:
    with pytest.raises(InputError, match="2 layers of 4 heads, counted from 1"):
        view.head_panel(layer=layer, head=head)


def test_json_holds_counts_and_patterns_but_no_text(view: AttentionView) -> None:
    value = view.to_json()

    assert json.loads(json.dumps(value)) == value
    assert (value["n_words"], value["n_layers"], value["n_heads"]) == (len(view.words), 2, 4)
    assert [len(heads) for heads in value["patterns"].values()] == [3] * 5
    assert "Aspirin" not in json.dumps(value)


@pytest.mark.parametrize("name", ["view.pdf", "view", "view.png.gz"])
def test_another_ending_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: name a \.png or \.html file"):
        check_suffix(Path(name))


def test_png_without_matplotlib_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install -e '/.*\[views\]'"):
        check_suffix(Path("view.png"))


@pytest.mark.parametrize(
    ("name", "begin"), [("view.PNG", b"\x89PNG\r\n"), ("view.html", b"<!doctype html>")]
)
def test_the_ending_says_what_is_written(
    view: AttentionView, tmp_path: Path, name: str, begin: bytes
) -> None:
    write_view(view, (Panel(layer=1, head=1),), tmp_path / name)

    assert (tmp_path / name).read_bytes().startswith(begin)
