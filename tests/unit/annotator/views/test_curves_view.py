"""Learning curves as pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from annotator.errors import InputError
from annotator.views import Line, LineChart, write_chart

CHART = LineChart(
    title="a <corpus>",
    x_title="words",
    y_title="F1",
    lines=(
        Line(name="random", points=((0.0, 10.0), (500.0, 30.0), (1000.0, 40.0))),
        Line(name="mnlp & co", points=((0.0, 10.0), (1000.0, 40.0))),
    ),
    levels=(("95 %", 38.0),),
)


def test_html_shows_each_line_with_its_points_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "curves.html"

    write_chart(CHART, path)

    text = path.read_text()
    lines = [found.split() for found in re.findall(r'points="([^"]+)"', text)]
    assert [len(points) for points in lines] == [2, 3, 2]  # the level, then the lines
    heights = [float(point.split(",")[1]) for point in lines[1]]
    assert heights == sorted(heights, reverse=True)  # more F1 is higher up
    assert "a &lt;corpus&gt;" in text
    assert "mnlp &amp; co" in text
    assert "<td>random</td><td>500</td><td>30.00</td>" in text


def test_html_takes_nothing_from_other_hosts(tmp_path: Path) -> None:
    path = tmp_path / "curves.html"

    write_chart(CHART, path)

    assert not re.search(r"https?://|<script", path.read_text())


def test_png_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curves.png"

    write_chart(CHART, path)

    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_chart_without_lines_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "curves.html"

    write_chart(LineChart(title="t", x_title="x", y_title="y", lines=()), path)

    assert "<svg" in path.read_text()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.png or \.html"):
        write_chart(CHART, tmp_path / "curves.pdf")
