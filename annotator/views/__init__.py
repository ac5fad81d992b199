"""Pictures of what a model does: attention heat maps, as PNG or HTML. Knows no database."""

from annotator.views.attention import AttentionView, Panel, view_attention
from annotator.views.output import check_suffix, write_view
from annotator.views.page import render_html
from annotator.views.png import draw_png

__all__ = [
    "AttentionView",
    "Panel",
    "check_suffix",
    "draw_png",
    "render_html",
    "view_attention",
    "write_view",
]
