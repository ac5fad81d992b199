"""The pure modules stay pure, and the SDK still is what the transport takes it for."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "flask", "label_studio_sdk", "httpx")


@pytest.mark.parametrize(
    "module", ["codec", "config", "connection", "refusals", "validation", "client", "server"]
)
def test_a_module_imports_without_torch_flask_and_the_sdk(module: str) -> None:
    code = (
        f"import annotator.studio.{module}, sys; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


def test_the_sdk_has_the_requester_that_the_transport_uses() -> None:
    from label_studio_sdk.base_client import LabelStudioBase
    from label_studio_sdk.core.api_error import ApiError
    from label_studio_sdk.core.http_client import HttpClient

    made = inspect.signature(LabelStudioBase.__init__)
    sent = inspect.signature(HttpClient.request)

    assert {"base_url", "api_key", "httpx_client", "timeout", "max_retries"} <= set(made.parameters)
    assert {"path", "method", "params", "json", "request_options"} <= set(sent.parameters)
    assert ApiError(status_code=401, body="b").status_code == 401


def test_only_the_door_and_who_connects_open_a_client(repository: Path) -> None:
    opens = re.compile(r"\bStudioClient\(")

    found = {
        str(file.relative_to(repository / "annotator"))
        for file in sorted((repository / "annotator").rglob("*.py"))
        if opens.search(file.read_text(encoding="utf-8"))
    }

    # The demo and the benchmark start a Label Studio of their own.
    assert found - {"demo/play.py", "bench/pushing.py", "studio/client.py"} == {
        "cli/connect.py",
        "services/sync/identity.py",
    }
