"""Packages whose names load their module when they are first asked for (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["load_when_asked"]


def load_when_asked(package: str, **names: str) -> Callable[[str], Any]:
    """Return a ``__getattr__`` for a package.

    Args:
        package: The package's full name.
        names: By module of the package, the public names that stand in it, with blanks between.
    """
    modules = {name: module for module, listed in names.items() for name in listed.split()}

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{modules[name]}")
        # All of its names at once: one of them may be called like the module itself.
        found = {each: getattr(module, each) for each in names[modules[name]].split()}
        vars(sys.modules[package]).update(found)
        return found[name]

    return load
