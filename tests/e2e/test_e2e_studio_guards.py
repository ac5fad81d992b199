"""A real Label Studio that was started with one of its guards of private addresses on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from recording_backend import Backend
from tiny_bert import TINY_SCHEMA

from annotator.errors import StudioError
from annotator.studio.client import StudioClient
from annotator.studio.config import build_config
from annotator.studio.server import StudioServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.server.shutdown()
    backend.server.server_close()


@pytest.fixture
def guarded(
    request: pytest.FixtureRequest, new_studio: Callable[..., StudioServer]
) -> Iterator[StudioClient]:
    """A client of a Label Studio with one of its two guards of private addresses on."""
    server = new_studio(**{request.param: "true"})
    studio = server.start()
    with StudioClient(studio.url, studio.token) as client:
        yield client
    server.stop()


@pytest.mark.parametrize(
    ("guarded", "said", "n_left"),
    [
        ("ML_BLOCK_LOCAL_IP", "ML_BLOCK_LOCAL_IP=false \\(for backends\\)", 0),
        ("SSRF_PROTECTION_ENABLED", "SSRF_PROTECTION_ENABLED=false is missing", 1),
    ],
    indirect=["guarded"],
)
def test_the_guard_that_is_still_on_is_named(
    guarded: StudioClient, backend: Backend, said: str, n_left: int
) -> None:
    project = guarded.create_project("Guarded", build_config(TINY_SCHEMA, unit="document"))

    with pytest.raises(StudioError, match=said):
        guarded.connect_backend(
            project.id, url=backend.url, user="ml", password="geheim", title="annotator"
        )

    assert len(guarded.backends(project.id)) == n_left  # Label Studio leaves it behind
