"""Heat maps as one PNG, drawn by matplotlib (the extra ``views``)."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from annotator.views.attention import AttentionView, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_png"]

_DPI = 150
_MAX_SIDE = 14.0  # inches, of one heat map
_INK = "#16325c"
_GREY = "#5b6472"
_LINE = "#b6bec9"


def draw_png(view: AttentionView, panels: Sequence[Panel] | None) -> bytes:
    """Draw ``panels``, or small maps of all heads if None, and return the bytes of a PNG.

    Darker is more, on a square-root scale, so that weak attention is visible too. Needs matplotlib.
    """
    figure = _draw_grid(view) if panels is None else _draw_panels(view, panels)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Silence the warning about missing glyphs: it quotes the text.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _new_figure(width: float, height: float, *, layout: Literal["constrained"] | None) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _shade(axes: Any, matrix: NDArray[np.float32]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    colours = LinearSegmentedColormap.from_list("ink", ["#ffffff", "#9db8dd", _INK])
    norm = PowerNorm(0.5, vmin=0, vmax=1)
    return axes.imshow(matrix, cmap=colours, norm=norm, interpolation="nearest", aspect="auto")


def _draw_panels(view: AttentionView, panels: Sequence[Panel]) -> Figure:
    n_words, n_across = len(view.words), math.ceil(math.sqrt(len(panels)))
    n_down = math.ceil(len(panels) / n_across)
    cell = min(0.26, _MAX_SIDE / n_words)
    size = min(8.5, cell * 72 * 0.75)
    labels = 0.15 + max(map(len, view.column_labels)) * size * 0.6 / 72
    wide, high = max(1.9, cell * (n_words + 4)), max(1.5, cell * n_words)
    big = max(1.0, wide / 5)
    across, down = labels + wide + 0.25, 0.5 * big + high + labels
    width, height = across * n_across + 0.7 * big, down * n_down + 0.4 * big
    figure = _new_figure(width, height, layout=None)

    def add_axes(left: float, top: float, wide: float, high: float) -> Any:
        place = (left / width, 1 - (top + high) / height, wide / width, high / height)
        return figure.add_axes(place)

    _set_title(figure, view, size=10 * big, y=1 - 0.1 * big / height)
    columns = view.columns()
    for i, panel in enumerate(panels):
        left, top = across * (i % n_across), down * (i // n_across) + 0.9 * big
        axes = add_axes(left + labels, top, wide, high)
        shaded = _draw_head(axes, columns[panel.layer - 1, panel.head - 1])
        _label(axes, view, size=size)
        axes.set_title("\n".join(filter(None, (panel.reason, panel.title))), fontsize=9 * big)
    bar = figure.colorbar(
        shaded, cax=add_axes(width - 0.5 * big, 0.9 * big, 0.13 * big, min(2.4 * big, high))
    )
    _set_scale(bar, size=7 * big)
    return figure


def _draw_head(axes: Any, matrix: NDArray[np.float32]) -> Any:
    """Draw start, words and end with gaps between them."""
    n_words = len(matrix)
    gap = np.full((n_words, 1), np.nan, dtype=np.float32)
    parts = [matrix[:, :1], gap, matrix[:, 1:-1], gap, matrix[:, -1:]]
    shaded = _shade(axes, np.concatenate(parts, axis=1))
    for spine in axes.spines.values():
        spine.set_visible(False)
    for left, width in ((-0.5, 1), (1.5, n_words), (n_words + 2.5, 1)):
        _add_frame(axes, (left, -0.5), width, n_words)
    return shaded


def _add_frame(axes: Any, corner: tuple[float, float], width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    frame = Rectangle(corner, width, height, fill=False, edgecolor=_LINE, linewidth=0.7)
    frame.set_clip_on(False)
    axes.add_patch(frame)


def _label(axes: Any, view: AttentionView, *, size: float) -> None:
    n_words = len(view.words)
    # Show words as they are: a dollar sign must not start a formula.
    options = {"fontsize": size, "parse_math": False}
    where = [0, *range(2, n_words + 2), n_words + 3]
    axes.set_xticks(where, labels=view.column_labels, rotation=90, **options)
    axes.set_yticks(range(n_words), labels=view.words, **options)
    for dropped in (axes.get_xticklabels()[0], axes.get_xticklabels()[-1]):
        dropped.set(style="italic", color=_GREY)
    axes.tick_params(length=0, pad=2)


def _draw_grid(view: AttentionView) -> Figure:
    width, height = view.n_heads + 1.4, view.n_layers + 1.2
    figure = _new_figure(width, height, layout="constrained")
    _set_title(figure, view, size=10, y=None)
    grid = figure.subplots(view.n_layers, view.n_heads, squeeze=False)
    weights = view.columns()[..., 1:-1]
    shaded: Any = None
    for (i_layer, i_head), axes in np.ndenumerate(grid):
        shaded = _shade(axes, weights[i_layer, i_head])
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(color=_LINE, linewidth=0.7)
        if i_layer == 0:
            axes.set_title(f"head {i_head + 1}", fontsize=8, color=_GREY)
        if i_head == 0:
            axes.set_ylabel(f"layer {i_layer + 1}", fontsize=8, color=_GREY)
        axes.set_box_aspect(1)
    _set_scale(figure.colorbar(shaded, ax=list(grid.ravel()), shrink=0.6, aspect=30), size=7)
    return figure


def _set_title(figure: Figure, view: AttentionView, *, size: float, y: float | None) -> None:
    place = {} if y is None else {"y": y}
    title = f"Attention of {view.source}, from rows to columns"
    figure.suptitle(title, fontsize=size, parse_math=False, **place)


def _set_scale(bar: Any, *, size: float) -> None:
    bar.set_ticks([0, 0.05, 0.25, 0.5, 1], labels=["0", "0.05", "0.25", "0.5", "1"])
    bar.ax.tick_params(labelsize=size, length=2, color=_GREY, labelcolor=_GREY)
    bar.outline.set(edgecolor=_LINE, linewidth=0.7)
