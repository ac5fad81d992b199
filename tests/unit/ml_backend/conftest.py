from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_world import BASIC, World, open_world
from flask.testing import FlaskClient


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="package")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A project for tests that change nothing in it."""
    with open_world(tmp_path_factory.mktemp("shared")) as opened:
        yield opened


@pytest.fixture(scope="package")
def shared_client(shared_world: World) -> FlaskClient:
    """A client without credentials."""
    return shared_world.client()


@pytest.fixture
def bare_world(tmp_path: Path) -> Iterator[World]:
    """A project without any model."""
    with open_world(tmp_path, version=None) as opened:
        yield opened


@pytest.fixture
def client(world: World) -> FlaskClient:
    """A client that is logged in as Label Studio is."""
    return log_in(world.client())


@pytest.fixture
def bare_client(bare_world: World) -> FlaskClient:
    return log_in(bare_world.client())


def log_in(client: FlaskClient) -> FlaskClient:
    client.environ_base["HTTP_AUTHORIZATION"] = BASIC["Authorization"]
    return client
