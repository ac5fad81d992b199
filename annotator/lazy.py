"""Packages whose public names import their module on first access (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["load_when_asked"]


def load_when_asked(package: str, **names: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for ``package``, given by its full name.

    ``names`` lists for each module of the package its public names, separated by blanks.
    """
    modules = {name: module for module, listed in names.items() for name in listed.split()}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{modules[name]}")
        # All names of the module at once: one of them may have the module's own name.
        found = {each: getattr(module, each) for each in names[modules[name]].split()}
        vars(sys.modules[package]).update(found)
        return found[name]

    return load
