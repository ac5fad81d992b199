"""Heat maps as one self-contained HTML page: no other file, no other host."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotator.views.attention import PATTERN_WORDS, AttentionView, Panel

__all__ = ["render_html"]

_HERE = Path(__file__).resolve().parent


def render_html(view: AttentionView, panels: Sequence[Panel] | None) -> str:
    """Return a page with a heat map for each of ``panels``, or one with a picker of all heads.

    Without a picker the page has no script. With one, it shows small maps of all heads and one
    large map; only the page's own script may run, and nothing may be fetched. Every word is
    escaped.
    """
    columns = view.columns()
    if panels is None:
        start = view.pattern_panels()[0]
        shown = _figure(view, columns, Panel(layer=start.layer, head=start.head))
        body = f'{_picker(view)}<div class="maps" id="large">{shown}{_overview(view)}</div>'
        script = (_HERE / "page.js").read_text(encoding="utf-8")
    else:
        maps = "".join(_figure(view, columns, panel) for panel in panels)
        body, script = f'<div class="maps">{maps}</div>', None
    return _page(view, body, data=None if script is None else _data(columns), script=script)


def _page(view: AttentionView, body: str, *, data: str | None, script: str | None) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    scripts = ""
    if script is not None:
        # The policy allows this script and no other.
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{digest}'"
        scripts = (
            f'<script type="application/json" id="data">{data}</script><script>{script}</script>'
        )
    css = (_HERE / "page.css").read_text(encoding="utf-8")
    title = escape(f"Attention of {view.source}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=False)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{css}</style>
</head>
<body>
<h1>{title}</h1>
<p class="about">Rows look at columns: the stronger the colour, the more attention, on a scale of
square roots. Among words each row sums to 1. <i>(start)</i> and <i>(end)</i> are the shares that
went to the special pieces before and behind the text, which were dropped. Rest on a square for its
value.</p>
{_scale()}
{body}
{_pattern_table(view, as_buttons=script is not None)}
{scripts}
</body>
</html>
"""


def _scale() -> str:
    marks = "".join(
        f'<span style="left:{100 * math.sqrt(mark):.1f}%">{mark:g}</span>'
        for mark in (0, 0.05, 0.25, 0.5, 1)
    )
    return f'<div class="scale" aria-hidden="true"><div class="bar"></div>{marks}</div>'


def _figure(view: AttentionView, columns: NDArray[np.float32], panel: Panel) -> str:
    matrix = columns[panel.layer - 1, panel.head - 1]
    words = [escape(word) for word in view.words]
    targets = [escape(label) for label in view.column_labels]
    top = "".join(f'<th scope="col"><span><bdi>{word}</bdi></span></th>' for word in targets)
    rows = []
    for word, row in zip(words, matrix.tolist(), strict=True):
        cells = "".join(
            f'<td style="--w:{math.sqrt(value):.3f}" title="{word} → {target}: {value:.3f}"></td>'
            for target, value in zip(targets, row, strict=True)
        )
        rows.append(f'<tr><th scope="row"><bdi>{word}</bdi></th>{cells}</tr>')
    reason = f"<b>{escape(panel.reason)}</b>" if panel.reason else ""
    return (
        f'<table class="map"><caption>{reason}<span>{panel.title}</span></caption>'
        f"<thead><tr><td></td>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _pattern_table(view: AttentionView, *, as_buttons: bool) -> str:
    rows = []
    for pattern, best in view.patterns.items():
        cells = []
        for one in best:
            name = Panel(layer=one.layer, head=one.head).title
            if as_buttons:
                name = _head_button(one.layer, one.head, name)
            cells.append(f"<td>{name} <b>{one.weight:.2f}</b></td>")
        heading = f'<th scope="row">{PATTERN_WORDS[pattern]}</th>'
        rows.append(f"<tr>{heading}{''.join(cells)}</tr>")
    return (
        '<h2>Heads that look at …</h2><p class="about">The number is the mean share of its '
        "attention that a word gives to it, special pieces not dropped.</p>"
        f'<table class="patterns"><tbody>{"".join(rows)}</tbody></table>'
    )


def _head_button(layer: int, head: int, inside: str) -> str:
    name = Panel(layer=layer, head=head).title
    return (
        f'<button type="button" data-layer="{layer}" data-head="{head}" '
        f'aria-label="{name}" title="{name}">{inside}</button>'
    )


def _picker(view: AttentionView) -> str:
    def options(n: int) -> str:
        return "".join(f'<option value="{i}">{i}</option>' for i in range(1, n + 1))

    return (
        "<noscript><p>Choosing a head needs this page's own script; one head is shown.</p>"
        "</noscript>"
        '<form class="picker" hidden>'
        f'<label>Layer <select id="layer">{options(view.n_layers)}</select></label> '
        f'<label>Head <select id="head">{options(view.n_heads)}</select></label></form>'
    )


def _overview(view: AttentionView) -> str:
    top = "".join(f'<th scope="col">{i}</th>' for i in range(1, view.n_heads + 1))
    n = len(view.words)
    rows = []
    for layer in range(1, view.n_layers + 1):
        cells = "".join(
            f"<td>{_head_button(layer, head, f'<canvas width={n} height={n}></canvas>')}</td>"
            for head in range(1, view.n_heads + 1)
        )
        rows.append(f'<tr><th scope="row">{layer}</th>{cells}</tr>')
    return (
        '<table class="overview" hidden><caption>All heads: layers down, heads across</caption>'
        f"<thead><tr><td></td>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _data(columns: NDArray[np.float32]) -> str:
    n_layers, n_heads, n_words, _ = columns.shape
    value: dict[str, Any] = {
        "layers": n_layers,
        "heads": n_heads,
        "words": n_words,
        # Little-endian 16-bit shares of 65,535, in the order of the array.
        "weights": base64.b64encode(
            np.round(columns.clip(0, 1) * 65_535).astype("<u2").tobytes()
        ).decode(),
    }
    return json.dumps(value)
