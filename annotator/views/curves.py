"""Learning curves as a picture: lines over the labelled amount, as PNG or HTML."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from annotator.views.output import check_suffix

__all__ = ["Line", "LineChart", "write_chart"]

_COLOURS = (
    *("#5b6472", "#16325c", "#c2410c", "#15803d", "#7e22ce", "#0e7490", "#b91c1c", "#a16207"),
    *("#4d7c0f", "#be185d", "#1d4ed8", "#78350f", "#334155"),
)
_WIDTH, _HEIGHT, _EDGE = 760, 440, 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A named line through points; ``x`` is ascending."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Lines in one picture, with levels drawn across it."""

    title: str
    x_title: str
    y_title: str
    lines: tuple[Line, ...]
    levels: tuple[tuple[str, float], ...] = ()

    def ranges(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return the least and greatest ``x`` and ``y``; neither range is empty."""
        xs = [x for line in self.lines for x, _ in line.points] or [0.0]
        ys = [y for line in self.lines for _, y in line.points] or [0.0]
        ys += [level for _, level in self.levels]
        return (0.0, max(*xs, 1.0)), (min(ys), max(max(ys), min(ys) + 1.0))


def write_chart(chart: LineChart, path: Path) -> None:
    """Write a chart to ``path``, in the format of its suffix.

    Raises:
        InputError: if the suffix is neither ``.png`` nor ``.html``.
        ConfigError: if it is ``.png`` and matplotlib is not installed.
        OSError: if the file cannot be written.
    """
    if check_suffix(path) == ".png":
        path.write_bytes(_draw_png(chart))
    else:
        path.write_text(_render_html(chart), encoding="utf-8")


def _draw_png(chart: LineChart) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.8), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for i, line in enumerate(chart.lines):
        xs, ys = [x for x, _ in line.points], [y for _, y in line.points]
        axes.plot(xs, ys, color=_COLOURS[i % len(_COLOURS)], label=line.name, marker=".", lw=1.4)
    for name, level in chart.levels:
        axes.axhline(level, color="#b6bec9", lw=0.9, ls="--")
        axes.annotate(name, (0, level), fontsize=7, color="#5b6472", va="bottom")
    axes.set(title=chart.title, xlabel=chart.x_title, ylabel=chart.y_title, xlim=chart.ranges()[0])
    axes.grid(color="#eef1f5")
    if chart.lines:
        axes.legend(fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _render_html(chart: LineChart) -> str:
    title = html.escape(chart.title)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#16202c;"
        "background:#fff}svg{max-width:100%;height:auto}td,th{padding:.15rem .8rem;"
        "text-align:right}td:first-child,th:first-child{text-align:left}"
        "caption{text-align:left}</style></head><body>\n"
        f"<h1>{title}</h1>\n{_svg(chart)}\n{_table(chart)}\n</body></html>\n"
    )


def _svg(chart: LineChart) -> str:
    (x_low, x_high), (y_low, y_high) = chart.ranges()

    def place(x: float, y: float) -> str:
        across = _EDGE + (x - x_low) / (x_high - x_low) * (_WIDTH - 2 * _EDGE)
        down = _HEIGHT - _EDGE - (y - y_low) / (y_high - y_low) * (_HEIGHT - 2 * _EDGE)
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(chart.title)}" '
        f'width="{_WIDTH}" font-size="11">'
    ]
    for level in (y_low, (y_low + y_high) / 2, y_high):
        at = place(x_low, level).split(",")
        parts.append(f'<text x="{_EDGE - 8}" y="{at[1]}" text-anchor="end">{level:.1f}</text>')
    for x in (x_low, x_high / 2, x_high):
        at = place(x, y_low).split(",")
        parts.append(
            f'<text x="{at[0]}" y="{_HEIGHT - _EDGE + 16}" text-anchor="middle">{x:,.0f}</text>'
        )
    for name, level in chart.levels:
        parts.append(_path([place(x_low, level), place(x_high, level)], "#b6bec9", dashed=True))
        at = place(x_low, level).split(",")
        parts.append(
            f'<text x="{at[0]}" y="{float(at[1]) - 3:.1f}" fill="#5b6472">'
            f"{html.escape(name)}</text>"
        )
    for i, line in enumerate(chart.lines):
        colour = _COLOURS[i % len(_COLOURS)]
        parts.append(_path([place(x, y) for x, y in line.points], colour))
        parts.append(
            f'<text x="{_WIDTH - 180}" y="{_HEIGHT - _EDGE - 14 - 15 * i}" '
            f'fill="{colour}">{html.escape(line.name)}</text>'
        )
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 14}" text-anchor="middle">'
        f"{html.escape(chart.x_title)}</text>"
    )
    parts.append(f'<text x="{_EDGE}" y="22">{html.escape(chart.y_title)}</text></svg>')
    return "\n".join(parts)


def _path(places: Sequence[str], colour: str, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 4"' if dashed else ""
    return (
        f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" '
        f'stroke-width="1.6"{dash}/>'
    )


def _table(chart: LineChart) -> str:
    rows = [
        f"<tr><td>{html.escape(line.name)}</td><td>{x:,.0f}</td><td>{y:.2f}</td></tr>"
        for line in chart.lines
        for x, y in line.points
    ]
    head = "".join(f"<th>{html.escape(t)}</th>" for t in ("", chart.x_title, chart.y_title))
    return f"<table><tr>{head}</tr>\n" + "\n".join(rows) + "\n</table>"
