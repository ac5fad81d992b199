"""Choose the kind of picture by the suffix of its file, and write it."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from annotator.errors import ConfigError, InputError
from annotator.resources import install_command
from annotator.views.attention import AttentionView, Panel
from annotator.views.page import render_html
from annotator.views.png import draw_png

__all__ = ["check_suffix", "write_view"]


def check_suffix(path: Path) -> str:
    """Return ``.png`` or ``.html``.

    Raises:
        InputError: if ``path`` has any other suffix.
        ConfigError: if it is ``.png`` and matplotlib is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".html"):
        raise InputError(f"the view cannot be written to {path.name}: name a .png or .html file")
    if suffix == ".png" and importlib.util.find_spec("matplotlib") is None:
        raise ConfigError(
            f"PNG views need matplotlib: run {install_command('views')}, or name a .html file"
        )
    return suffix


def write_view(view: AttentionView, panels: Sequence[Panel] | None, path: Path) -> None:
    """Write a view to ``path``, in the format of its suffix.

    Each of ``panels`` is a heat map with words; None shows all heads.

    Raises:
        InputError: as ``check_suffix``.
        ConfigError: as ``check_suffix``.
        OSError: if the file cannot be written.
    """
    if check_suffix(path) == ".png":
        path.write_bytes(draw_png(view, panels))
    else:
        path.write_text(render_html(view, panels), encoding="utf-8")
