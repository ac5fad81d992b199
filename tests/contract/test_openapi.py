"""The OpenAPI document says what the backend does, and the backend does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from backend_world import BASIC, BEARER, World, make_predict, open_world
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from ml_backend.openapi import describe_api

pytestmark = pytest.mark.slow

# What is no business of programs: the dashboard's files, and numbers in Prometheus's own format.
NOT_DESCRIBED = {"pages.index", "pages.asset", "metrics.metrics"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("openapi")) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(world: World) -> Flask:
    return world.client().application


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = app.test_client().get("/api/v1/openapi.json", headers=BEARER).json
    return found


@pytest.fixture(scope="module")
def api(app: Flask) -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, headers=BASIC)


def operations() -> list[Any]:
    """Name all operations, twice where a request can be wrong; pytest wants them early."""
    from ml_backend import api_routes, studio_routes

    bare = Flask("bare")
    for room in (studio_routes, api_routes):
        bare.register_blueprint(room.blueprint)
    paths = describe_api(bare)["paths"]
    return [
        pytest.param(path, method, mode, id=f"{mode.value}-{method}-{path}")
        for path, found in paths.items()
        for method, operation in found.items()
        for mode in schemathesis.GenerationMode
        if mode.is_positive or operation.keys() & {"parameters", "requestBody"}
    ]


@pytest.mark.parametrize(("path", "method", "mode"), operations())
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_no_request_breaks_the_backend_or_its_word(
    api: Any, path: str, method: str, mode: schemathesis.GenerationMode, data: st.DataObject
) -> None:
    case = data.draw(api[path][method].as_strategy(generation_mode=mode))

    case.call_and_validate(
        headers=BASIC,
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
            negative_data_rejection,
        ],
    )


def test_every_route_is_described_or_named_as_not(app: Flask, document: dict[str, Any]) -> None:
    described = {
        operation["operationId"].replace("_", ".", 1)
        for path in document["paths"].values()
        for operation in path.values()
    }

    assert described | NOT_DESCRIBED == {rule.endpoint for rule in app.url_map.iter_rules()}


def test_what_is_asked_for_is_what_the_document_says(document: dict[str, Any]) -> None:
    paths = document["paths"]

    assert paths["/health"]["get"]["security"] == []
    assert paths["/predict"]["post"]["security"] == [{"basic": []}]
    assert {"bearer": []} in paths["/api/v1/status"]["get"]["security"]
    assert all(
        operation["summary"].endswith(".") for path in paths.values() for operation in path.values()
    )


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("get", "/health", None),
        ("post", "/setup", {"project": "1.17", "schema": "<View/>"}),
        ("post", "/predict", make_predict("aspirin induced rash .", "")),
        ("post", "/webhook", {"action": "PROJECT_UPDATED", "project": {"id": 1}}),
        ("post", "/webhook", {"action": "START_TRAINING"}),
        ("get", "/versions", None),
        ("get", "/api/v1/status", None),
        ("get", "/api/v1/runs", None),
        ("post", "/api/v1/runs", {}),
        ("get", "/api/v1/versions", None),
        ("get", "/api/v1/queue", None),
        ("get", "/api/v1/nothing", None),
        ("get", "/api/v1/runs?limit=x", None),
    ],
)
def test_real_answers_have_the_shape_that_is_told(
    app: Flask, document: dict[str, Any], method: str, path: str, body: Any
) -> None:
    answer = app.test_client().open(path, method=method.upper(), json=body, headers=BASIC)

    told = document["paths"].get(path.split("?")[0], {}).get(method)
    success = told["responses"].get(str(answer.status_code)) if told else None
    shape = (
        success["content"]["application/json"]["schema"]
        if success
        else {"$ref": "#/components/schemas/Failure"}
    )
    checker = validator_for({**shape, "components": document["components"]})
    assert [error.message for error in checker.iter_errors(answer.json)] == []
