"""One JSON envelope for every failure. It never holds a traceback, document text or a secret."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import structlog
from flask import Flask, Response, abort, g, jsonify, request
from werkzeug.exceptions import HTTPException

from annotator.errors import (
    AnnotatorError,
    ConflictError,
    InputError,
    JobError,
    LabelError,
    ModelError,
    NotFoundError,
    OffsetError,
    OutOfTimeError,
    StoreError,
    StudioError,
    TaskFormatError,
)
from annotator.logs import get_logger
from ml_backend.tracebacks import describe_fault

__all__ = ["envelope", "install_errors", "refuse"]

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_CODES: Final = {
    400: "bad_request",
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "not_json",
    431: "headers_too_large",
}
# The first matching class decides; anything else is our own fault: 500.
_KINDS: Final[tuple[tuple[type[AnnotatorError], int, str], ...]] = (
    (LabelError, 400, "label_unknown"),
    (OffsetError, 400, "offset_invalid"),
    (TaskFormatError, 400, "task_invalid"),
    (InputError, 400, "input_invalid"),
    (NotFoundError, 404, "not_found"),
    (ConflictError, 409, "conflict"),
    (StoreError, 503, "database_unavailable"),
    (JobError, 503, "queue_unavailable"),
    (OutOfTimeError, 503, "out_of_time"),
    (ModelError, 503, "model_failed"),
    (StudioError, 502, "label_studio_failed"),
)
_log = get_logger("backend")


def envelope(
    *, code: str, message: str, request_id: str, errors: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Return the body that every failure has."""
    return {
        "ok": False,
        "error": message,
        "code": code,
        "errors": [dict(one) for one in errors],
        "request_id": request_id,
    }


def refuse(
    status: int,
    code: str,
    message: str,
    *,
    errors: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> NoReturn:
    """End the request with a failure."""
    response = _answer(status, code, message, errors)
    response.headers.update(headers or {})
    abort(response)


def _answer(
    status: int, code: str, message: str, errors: Sequence[Mapping[str, Any]] = ()
) -> Response:
    response = jsonify(
        envelope(code=code, message=message, request_id=_request_id(), errors=errors)
    )
    response.status_code = status
    return response


def _request_id() -> str:
    return str(g.get("request_id", ""))


def install_errors(app: Flask) -> None:
    """Give each request an id, and each failure the envelope."""
    app.before_request(_begin)
    app.after_request(_end)
    app.register_error_handler(HTTPException, _on_http)
    app.register_error_handler(AnnotatorError, _on_ours)
    app.register_error_handler(Exception, _on_crash)


def _begin() -> None:
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = _request_id()
    structlog.contextvars.unbind_contextvars("request_id")
    return response


def _on_http(error: HTTPException) -> Response:
    status = error.code or 500
    message = error.description or error.name
    if status == 413:
        limit_mb = (request.max_content_length or 0) / 1e6
        message = f"the request body is larger than max_body_mb = {limit_mb:g}"
    told = _answer(status, _CODES.get(status, "refused"), message)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            told.headers.add(name, value)
    return told


def _on_ours(error: AnnotatorError) -> Response:
    status, code = 500, "internal"
    for kind, its_status, its_code in _KINDS:
        if isinstance(error, kind):
            status, code = its_status, its_code
            break
    if status >= 500:
        _log.error("request.failed", status=status, **describe_fault(error))
    response = _answer(status, code, str(error))
    if status == 503:
        response.headers["Retry-After"] = "5"
    return response


def _on_crash(error: Exception) -> Response:
    _log.error("request.crashed", **describe_fault(error))
    return _answer(
        500,
        "internal",
        f"this is a fault of the backend; its log tells more under request {_request_id()}",
    )
