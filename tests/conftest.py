"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import TINY_CONFIG_XML, TINY_HEADS
from postgres_server import running_postgres
from redis_server import RedisServer, running_redis
from services_here import missing
from sqlalchemy import make_url, text

from annotator.settings import Settings, init_home, load_settings
from annotator.store.database import Database
from annotator.store.projects import Project, ensure_project, save_schema
from db import Base, make_engine

# Tiny tensors on many threads are slow when tests run side by side. torch reads this when it is
# imported, so nothing above may import it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parent.parent
POSTGRES_VARIABLE = "ANNOTATOR_TEST_POSTGRES_URL"


#: Where the database itself is at stake. What else touches one runs on PostgreSQL at night.
_ON_POSTGRES = ("unit/db/", "unit/annotator/store/", "unit/annotator/jobs/", "test_power_cuts")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to the night the PostgreSQL variants of tests whose matter is not the database."""
    for item in items:
        if "database_url" in getattr(item, "fixturenames", ()) and item.get_closest_marker(
            "postgres"
        ):
            place = item.path.relative_to(REPOSITORY / "tests").as_posix()
            if not any(part in place for part in _ON_POSTGRES):
                item.add_marker(pytest.mark.nightly)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the checkout; they may not be redistributed."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the corpora are not beside this checkout ({folder.name}/ is absent)")
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """The only source of randomness of a test."""
    return np.random.default_rng(5)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def devices(request: pytest.FixtureRequest) -> Any:
    """Each device that tensor code is tried on."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    return torch.device(request.param)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of a few kilobytes."""
    from tiny_bert import make_tiny_encoder

    return make_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture
def still_encoder(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder without dropout, so that two processes can be compared with one."""
    folder = tmp_path / "still"
    folder.mkdir()
    for file in tiny_encoder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = (folder / "config.json").read_text(encoding="utf-8")
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        config = config.replace(f'"{name}": 0.1', f'"{name}": 0.0')
    (folder / "config.json").write_text(config, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a model that knows eight sentences by heart."""
    from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

    from annotator.training import TrainingSettings, train

    folder = tmp_path_factory.mktemp("model") / "tiny"
    train(
        EIGHT_SENTENCES,
        schema=TINY_SCHEMA,
        encoder=str(tiny_encoder),
        settings=TrainingSettings(
            epochs=40, min_steps=0, batch_size=8, encoder_lr=1e-3, head_lr=3e-3, seed=1
        ),
        folder=folder,
        options=TINY_HEADS,
    )
    return folder


@pytest.fixture
def settings(tmp_path: Path, tiny_encoder: Path) -> Settings:
    """The settings of a new project whose runs take a second or two."""
    home = tmp_path / "home"
    init_home(
        home,
        project="ward",
        unit="sentence",
        encoder=str(tiny_encoder),
        device="cpu",
        precision="fp32",  # on a tiny encoder the trial of `auto` may go either way
        epochs=1,
        min_steps=3,
        lease_s=3.0,
    )
    return load_settings(home)


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with all tables and no rows; migrating takes longer than copying."""
    file = tmp_path_factory.mktemp("database") / "empty.db"
    database = Database(f"sqlite:///{file}")
    database.upgrade()
    database.close()
    return file


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL database that the tests may empty.

    That is the one named by the environment, which only one process may use at a time, or else a
    server of this test process's own.
    """
    if importlib.util.find_spec("psycopg") is None:
        missing("psycopg is not installed")
    given = os.environ.get(POSTGRES_VARIABLE)
    with nullcontext(given) if given else running_postgres() as url:
        database = Database(url)
        database.upgrade()
        database.downgrade("base")
        database.close()
        yield url


@pytest.fixture(scope="session")
def empty_postgres(postgres_url: str) -> Callable[[], str]:
    """Takes all rows out of the PostgreSQL database and returns its URL."""

    def empty() -> str:
        database = Database(postgres_url)
        database.upgrade()
        database.close()
        engine = make_engine(postgres_url)
        tables = ", ".join(f'"{table.name}"' for table in Base.metadata.sorted_tables)
        with engine.begin() as connection:
            connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY"))
        engine.dispose()
        return postgres_url

    return empty


@pytest.fixture
def new_postgres(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases on the PostgreSQL server, and drops them again."""
    server, made = make_engine(postgres_url), list[str]()

    def run(statement: str) -> None:
        with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))

    def make() -> str:
        made.append(f"annotator_test_{secrets.token_hex(4)}")
        run(f"CREATE DATABASE {made[-1]}")
        url = make_url(postgres_url).set(database=made[-1])
        return url.render_as_string(hide_password=False)

    yield make
    for name in made:
        run(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis server of this test's own."""
    if importlib.util.find_spec("redis") is None:
        missing("the package redis is not installed")
    with running_redis() as server:
        yield server


def _sqlite(request: pytest.FixtureRequest, settings: Settings) -> str:
    shutil.copy(request.getfixturevalue("empty_sqlite"), settings.home / "annotator.db")
    return settings.database


def _postgres(request: pytest.FixtureRequest, _settings: Settings) -> str:
    empty: Callable[[], str] = request.getfixturevalue("empty_postgres")
    return empty()


@pytest.fixture(
    params=[
        pytest.param(_sqlite, id="sqlite"),
        pytest.param(_postgres, id="postgres", marks=pytest.mark.postgres),
    ]
)
def database_url(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The URL of an empty database with all tables."""
    make: Callable[[pytest.FixtureRequest, Settings], str] = request.param
    return make(request, settings)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database with all tables."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def project(database: Database, settings: Settings) -> Project:
    """A project with the tiny schema, not connected to any Label Studio."""
    from tiny_bert import TINY_SCHEMA

    with database.write() as session:
        made = ensure_project(session, name=settings.project, unit=settings.unit)
        save_schema(session, made.id, TINY_SCHEMA, config_xml=TINY_CONFIG_XML)
    return made
