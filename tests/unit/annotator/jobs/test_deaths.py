from __future__ import annotations

import signal

import pytest
import torch

from annotator.errors import StoreError
from annotator.jobs.deaths import cause_of, cause_of_code, count_oom_kills

SECRET = "Mrs Smith has a rash"


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (StoreError("database ward: gone; try again"), "database ward: gone; try again"),
        (OSError(28, "No space left on device"), "OSError: No space left on device"),
        (
            RuntimeError("CUDA error: device-side assert triggered\nmore"),
            "RuntimeError: CUDA error: device-side assert triggered",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.",
        ),
    ],
    ids=["ours", "disk", "device", "memory"],
)
def test_what_is_known_to_hold_no_text_is_told(error: Exception, cause: str) -> None:
    assert cause_of(raised(error)) == cause


def test_of_any_other_error_the_type_and_the_place_are_told() -> None:
    cause = cause_of(raised(ValueError(SECRET)))

    assert cause.startswith("ValueError at test_deaths.py:")
    assert "Smith" not in cause


@pytest.mark.parametrize(
    ("code", "oom_kills", "words"),
    [
        (1, 0, "ended with code 1"),
        (-signal.SIGSEGV, 0, "killed by SIGSEGV"),
        (-signal.SIGKILL, 0, "SIGKILL (out of memory?)"),
        (-signal.SIGKILL, 1, "SIGKILL: this machine ran out of memory"),
        (-signal.SIGSEGV, 1, "killed by SIGSEGV"),
    ],
)
def test_an_exit_code_is_put_into_words(code: int, oom_kills: int, words: str) -> None:
    assert words in cause_of_code(code, oom_kills=oom_kills)


def test_kills_for_want_of_memory_are_counted() -> None:
    assert count_oom_kills() >= 0
