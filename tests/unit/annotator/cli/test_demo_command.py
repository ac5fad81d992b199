from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotator.cli.demo import demo
from annotator.demo.play import Demo


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signal handlers of before, put back at the end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("again", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_second_signal_does_not_cut_the_clean_up_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: signal.Signals
) -> None:
    closed: list[str] = []

    def close(_demo: Demo) -> None:
        os.kill(os.getpid(), again)
        closed.append("everything")

    def interrupted(_demo: Demo) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Demo, "make_project", interrupted)
    monkeypatch.setattr(Demo, "close", close)

    demo(home=tmp_path, studio_port=0, port=None, studio_venv=None, encoder="minilm")

    assert closed == ["everything"]
