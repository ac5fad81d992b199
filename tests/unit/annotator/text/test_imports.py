from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("room", ["annotator.text", "annotator.formats"])
def test_room_is_imported_without_heavy_packages(room: str) -> None:
    code = f"import sys, {room}; print(sorted({{'torch', 'flask', 'numpy'}} & set(sys.modules)))"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "[]"
