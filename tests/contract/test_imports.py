"""Importing any module of ours does nothing but import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

WATCHED = """
import importlib, json, pkgutil, random, sys, threading

seen = []
WRITES = ("w", "a", "x", "+")


def watch(event, arguments):
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set(WRITES):
        seen.append(f"opens {arguments[0]} to write")
    if event in {"socket.connect", "socket.bind", "subprocess.Popen", "os.mkdir", "os.putenv"}:
        seen.append(f"{event} {arguments!r}"[:200])


# What the libraries do when they are first imported is their own business.
import numpy, sklearn.metrics, torch, transformers, alembic.command, flask, huey.consumer, waitress
import label_studio_sdk.client, label_studio_sdk.label_interface, modAL.models, modAL.batch
import structlog, rich.progress, typer

states = random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()
threads = threading.enumerate()
sys.dont_write_bytecode = True
sys.addaudithook(watch)
names = []
for root in ("annotator", "db", "ml_backend"):
    package = importlib.import_module(root)
    names += [m.name for m in pkgutil.walk_packages(package.__path__, f"{root}.")]
for name in names:
    if not name.startswith("annotator._resources"):
        importlib.import_module(name)
after = random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()
import logging
print(json.dumps({
    "n_modules": len(names),
    "seen": seen,
    "threads": [t.name for t in threading.enumerate() if t not in threads],
    "random_states_changed": after != states,
    "log_handlers": len(logging.getLogger().handlers),
    "structlog_configured": structlog.is_configured(),
    "models_loaded": [m for m in sys.modules if m.startswith("transformers.models.bert")],
}))
"""


def test_importing_has_no_effect(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], cwd=repository, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("n_modules") > 100
    assert found == {
        "seen": [],
        "threads": [],
        "random_states_changed": False,
        "log_handlers": 0,
        "structlog_configured": False,
        "models_loaded": [],
    }


FORBIDDEN = (
    "flask",
    "sqlalchemy",
    "alembic",
    "waitress",
    "huey",
    "label_studio_sdk",
    "ml_backend",
    "ray",
    "db",
)


def test_the_rooms_of_the_model_need_neither_web_nor_database(repository: Path) -> None:
    program = f"""
import importlib, json, pkgutil, sys
for name in ("annotator.model", "annotator.training", "annotator.active"):
    room = importlib.import_module(name)
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
print(json.dumps([name for name in {FORBIDDEN!r} if name in sys.modules]))
"""

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
