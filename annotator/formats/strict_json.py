"""JSON from outside: finite numbers, no lone surrogates."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from annotator.errors import InputError

__all__ = ["parse_json"]


def parse_json(text: str, *, place: str, expected: str) -> Any:
    """Parse strict JSON: finite numbers, no lone surrogates.

    ``place`` and ``expected`` are for messages; the line is added if ``text`` has several.

    Raises:
        InputError: naming ``place`` and, for broken JSON, the column.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        line = f":{error.lineno}" if "\n" in text else ""
        raise InputError(
            f"{place}{line}: not whole JSON at column {error.colno} ({error.msg}); "
            f"expected {expected}"
        ) from error
    except UnicodeEncodeError as error:
        raise InputError(f"{place}: a string holds a lone surrogate, which is not text") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{place}: expected finite numbers of sensible length and nesting; "
            "NaN and Infinity are not JSON"
        ) from error
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number
