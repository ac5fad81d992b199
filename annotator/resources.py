"""Finds files that are not modules, such as the dashboard, in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

from annotator.errors import ConfigError

__all__ = ["install_command", "migrations_folder", "sample_file", "static_folder"]

_PACKAGE = Path(__file__).resolve().parent


def _find(name: str) -> Path:
    for folder in (_PACKAGE / "_resources" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise ConfigError(f"the folder {name}/ is missing from this installation; install it again")


def install_command(extra: str) -> str:
    """Return the command that installs this program again with an extra.

    The name alone would not do: the package index has another project of it.
    """
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file():
        return f"pip install -e '{checkout}[{extra}]'"
    return f"pip install 'annotator[{extra}] @ file:///path/to/the/checkout-or-wheel'"


def static_folder() -> Path:
    """Return the folder of the dashboard's files."""
    return _find("static")


def migrations_folder() -> Path:
    """Return Alembic's script folder."""
    return _find("migrations")


def sample_file() -> Path:
    """Return the bundled sample corpus, canonical JSONL."""
    return _PACKAGE / "sample" / "notes.jsonl"
