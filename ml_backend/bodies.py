"""Request bodies and queries: strict JSON in, checked values out; errors never quote the body."""

from __future__ import annotations

import gc
import json
import math
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from ml_backend.errors import refuse

__all__ = ["check", "read_limit", "read_object"]

_Schema = TypeVar("_Schema", bound=BaseModel)


def read_object() -> dict[str, Any]:
    """Return the request's JSON object, or refuse the request.

    A POST must declare JSON as its content type, so that a form on another site cannot send one
    from a browser that is logged in here.
    """
    if not request.is_json:
        refuse(415, "not_json", "send the body with Content-Type: application/json")
    try:
        value = _parse(request.get_data(cache=False).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        refuse(400, "bad_json", f"the body is not UTF-8: byte {error.start}")
    except json.JSONDecodeError as error:
        refuse(400, "bad_json", f"the body is not JSON: {error.msg}, character {error.pos}")
    except (RecursionError, ValueError):
        refuse(400, "bad_json", "the body is JSON that is too deep, or has numbers out of range")
    if not isinstance(value, dict):
        refuse(400, "bad_request", f"the body must be an object, found {_name(value)}")
    return value


def check(schema: type[_Schema], value: dict[str, Any]) -> _Schema:
    """Return ``value`` as a ``schema``, or refuse the request, naming each wrong field."""
    try:
        return schema.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [
        {"place": ".".join(str(part) for part in one["loc"])[:200], "reason": one["msg"]}
        for one in found[:20]
    ]
    first = problems[0]
    refuse(400, "bad_request", f"{first['place']}: {first['reason']}", errors=problems)


def read_limit(*, default: int, most: int) -> int:
    """Return the query's ``limit``; refuse one that is not a number from 1 to ``most``."""
    given = request.args.get("limit")
    if given is None:
        return default
    limit = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
    if not 1 <= limit <= most:
        refuse(400, "bad_request", f"limit must be a whole number from 1 to {most}")
    return limit


def _parse(text: str) -> Any:
    # Parsed JSON has no cycles. Letting the collector search a million new objects for them, over
    # and over, takes twice as long as parsing.
    gc.disable()
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    finally:
        gc.enable()


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is out of range")
    return value


def _refuse_constant(name: str) -> None:
    refuse(400, "bad_json", f"the body is not JSON: {name} is not a JSON number")


def _name(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")
