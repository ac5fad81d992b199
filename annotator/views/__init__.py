"""Pictures, as PNG or HTML: attention heat maps and learning curves. Knows no database."""

from annotator.views.attention import AttentionView, Panel, view_attention
from annotator.views.curves import Line, LineChart, write_chart
from annotator.views.output import check_suffix, write_view
from annotator.views.page import render_html
from annotator.views.png import draw_png

__all__ = [
    "AttentionView",
    "Line",
    "LineChart",
    "Panel",
    "check_suffix",
    "draw_png",
    "render_html",
    "view_attention",
    "write_chart",
    "write_view",
]
