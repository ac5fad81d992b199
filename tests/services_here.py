"""What a test does where a program it needs is missing: skip at home, fail in CI."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(reason: str) -> NoReturn:
    """Skip with ``reason``; where ``CI`` is set, a missing service is a failure."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and in CI nothing may be missing")
    pytest.skip(reason)
