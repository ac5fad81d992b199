"""The dashboard's files, under a policy that forbids loading anything from another host."""

from __future__ import annotations

from typing import Final

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import NotFound

from ml_backend.context import current_backend
from ml_backend.headers import HEADERS

__all__ = ["blueprint", "install_headers"]

blueprint = Blueprint("pages", __name__)

_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}


@blueprint.get("/")
def index() -> Response:
    """Serve the dashboard."""
    return _file("index.html")


@blueprint.get("/static/<name>")
def asset(name: str) -> Response:
    """Serve a file of the dashboard."""
    return _file(name)


def _file(name: str) -> Response:
    # Compared with what is there: no name from outside becomes a path.
    path = next((one for one in current_backend().static.iterdir() if one.name == name), None)
    kind = _TYPES.get(path.suffix) if path is not None else None
    if path is None or kind is None:
        raise NotFound("the dashboard has no such file")
    response = Response(path.read_bytes(), mimetype=kind)
    response.add_etag()
    response.make_conditional(request)
    return response


def install_headers(app: Flask) -> None:
    """Set the security headers on every answer; only the dashboard's files may be cached."""

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        is_page = request.blueprint == blueprint.name
        response.headers["Cache-Control"] = "no-cache" if is_page else "no-store"
        return response
