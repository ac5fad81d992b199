"""The OpenAPI document of the backend, made from its routes and their request and answer models."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import annotator
from ml_backend import answers
from ml_backend.schemas import PredictRequest, RunRequest, SetupRequest, WebhookRequest

__all__ = ["describe_api"]

_REFERENCE: Final = "#/components/schemas/{model}"
_CONVERTER: Final = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?(\w+)>")
_FAILURE: Final = "Failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """A route's request and answer models; ``statuses`` are those of success."""

    answer: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    statuses: tuple[int, ...] = (200,)
    most: int | None = None  # the highest ``limit``, where the route has one


_OPERATIONS: Final = {
    "studio.health": _Operation(answer=answers.Health),
    "studio.setup": _Operation(body=SetupRequest, answer=answers.Setup),
    "studio.predict": _Operation(body=PredictRequest, answer=answers.Predictions),
    "studio.webhook": _Operation(body=WebhookRequest, answer=answers.Received, statuses=(200, 201)),
    "studio.versions": _Operation(answer=answers.VersionNames),
    "api.status": _Operation(answer=answers.Status),
    "api.runs": _Operation(answer=answers.Runs, most=200),
    "api.start_run": _Operation(body=RunRequest, answer=answers.RunQueued, statuses=(200, 202)),
    "api.run": _Operation(answer=answers.RunFound),
    "api.run_log": _Operation(answer=answers.RunLog),
    "api.versions": _Operation(answer=answers.Versions),
    "api.queue": _Operation(answer=answers.Queue, most=1000),
    "api.openapi": _Operation(),
}


def describe_api(app: Flask) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of those routes of ``app`` that programs call."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        operation = _OPERATIONS.get(rule.endpoint)
        if operation is None:
            continue
        path = _CONVERTER.sub(r"{\2}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _describe(
                app, rule.endpoint, rule.rule, operation
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "annotator",
            "version": annotator.__version__,
            "description": "The backend of annotator: Label Studio's addresses, and the API of "
            "the dashboard and of scripts. No answer but /predict holds document text.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _describe(app: Flask, endpoint: str, rule: str, operation: _Operation) -> dict[str, Any]:
    summary = (app.view_functions[endpoint].__doc__ or "").strip().splitlines()[0]
    described: dict[str, Any] = {
        "operationId": endpoint.replace(".", "_"),
        "summary": summary,
        "tags": [endpoint.split(".")[0]],
        "security": _security(endpoint),
        "responses": {
            **{str(status): _answer(operation.answer) for status in operation.statuses},
            "default": _content("A failure.", _reference(_FAILURE)),
        },
    }
    parameters = [
        _parameter(name, where="path", most=2**31 - 1)
        for kind, name in _CONVERTER.findall(rule)
        if kind == "int"
    ]
    if operation.most is not None:
        parameters.append(_parameter("limit", where="query", most=operation.most))
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content = _content("", _reference(operation.body.__name__))["content"]
        described["requestBody"] = {"required": True, "content": content}
    return described


def _security(endpoint: str) -> list[dict[str, list[str]]]:
    if endpoint == "studio.health":
        return []
    if endpoint.startswith("studio."):
        return [{"basic": []}]
    return [{"basic": []}, {"bearer": []}]


def _parameter(name: str, *, where: str, most: int) -> dict[str, Any]:
    return {
        "name": name,
        "in": where,
        "required": where == "path",
        "schema": {"type": "integer", "minimum": 0 if where == "path" else 1, "maximum": most},
    }


def _answer(model: type[BaseModel] | None) -> dict[str, Any]:
    if model is None:
        return _content("This document.", {"type": "object"})
    return _content((model.__doc__ or "").strip().splitlines()[0], _reference(model.__name__))


def _content(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(model=name)}


def _schemas() -> dict[str, Any]:
    taken = {one.body for one in _OPERATIONS.values() if one.body is not None}
    given = {one.answer for one in _OPERATIONS.values() if one.answer is not None}
    ordered = sorted(taken | given | {answers.Failure}, key=lambda model: model.__name__)
    _, definitions = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=_REFERENCE
    )
    found: dict[str, Any] = definitions["$defs"]
    return found
