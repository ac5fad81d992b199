"""What a command loads: nothing heavy before it is needed, nothing at all for a wrong folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from backend_world import World, open_world
from command_line import GOLD, write_lines
from factories import LINK, make_document, make_task

from annotator.cli.main import app
from annotator.settings import init_home
from annotator.store.projects import link_studio
from annotator.store.tasks import open_tasks
from annotator.store.versions import StoredPrediction, save_acquisitions, save_predictions

ROOT = Path(__file__).resolve().parents[2]
# The command line as a user starts it, but with a Label Studio in memory.
RUN = """
import json, sys
from annotator.cli.main import main
if sys.argv[1] in ("sync", "push"):
    import annotator.studio.client as client, fake_studio
    client.StudioClient = lambda *_, studio=fake_studio.FakeStudio(): studio
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
# One command after the other with the same wrong folder; what each has loaded of what is heavy.
RUN_ALL = """
import contextlib, io, json, sys
from annotator.cli.main import main
commands, heavy = json.loads(sys.stdin.read())
told = {}
for words in commands:
    sys.argv = ["annotator", *words]
    with contextlib.redirect_stderr(io.StringIO()) as error:
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    told[" ".join(words)] = [code, error.getvalue(), sorted(set(heavy) & set(sys.modules))]
print(json.dumps(told))
"""

MODELS = {"torch", "transformers", "modAL", "sklearn", "scipy", "annotator.model.joint"}
SERVERS = {"flask", "waitress", "huey", "ray", "label_studio_sdk"}
LIGHT = MODELS | SERVERS | {"alembic", "structlog", "rich", "pandas", "httpx"}
DATABASE = {"sqlalchemy", "annotator.store", "db"}
UNWANTED = {
    "--help": LIGHT | DATABASE | {"pydantic", "numpy", "annotator.cli.status"},
    "retrain --help": LIGHT | DATABASE | {"numpy"},
    "status": LIGHT,
    "runs list": LIGHT | {"numpy"},
    "runs show 1": LIGHT | {"numpy"},
    "why 1": LIGHT | {"numpy"},
    "models list": LIGHT | {"numpy"},
    "export --out gold": LIGHT,
    "sync": MODELS | SERVERS,
    "push": MODELS | SERVERS,
    # modAL brings torch along where a ranked batch is chosen; no model is loaded.
    "next -n 3": SERVERS | {"transformers", "annotator.model.joint", "annotator.jobs"},
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A connected project with gold and with a model in use that has scored all tasks."""
    home = tmp_path_factory.mktemp("starts") / "ward"
    init_home(home, project="default", unit="sentence", encoder="minilm", device="cpu", warmup=0)
    rng = np.random.default_rng(1)
    with open_world(home, version=None) as world:
        version = world.register("v1", folder=home, sha256="0" * 64)
        with world.database.write() as session:
            link_studio(session, world.project_id, LINK)
            for i in range(12):
                document = make_document(f"d{i}", f"Patient {i} has a rash.")
                make_task(session, world.project_id, studio_id=i + 1, document=document)
            shown = [s for task in open_tasks(session, world.project_id) for s in task.sentences]
            save_predictions(
                session,
                version.id,
                [
                    StoredPrediction(
                        text_hash=sentence.text_hash,
                        entities=[],
                        relations=[],
                        signals={},
                        embedding=rng.normal(size=4).astype(np.float16).tobytes(),
                    )
                    for sentence in shown
                ],
            )
            utilities = {sentence.id: float(rng.random()) for sentence in shown}
            save_acquisitions(session, version.id, strategy="mnlp", utilities=utilities)
        yield world


@pytest.fixture(scope="module")
def gold_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A connected project with gold and without a model."""
    folder = tmp_path_factory.mktemp("gold")
    init_home(folder / "ward", project="default", unit="sentence", encoder="minilm", warmup=0)
    with open_world(folder / "ward", version=None) as world, world.database.write() as session:
        link_studio(session, world.project_id, LINK)
    gold = write_lines(folder / "gold.jsonl", GOLD)
    done = start(f"import jsonl {gold} --as gold --holdout-share 0", folder / "ward", folder)
    assert done.returncode == 0, done.stderr
    return folder / "ward"


def start(command: str, home: Path | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, *command.split(), *(("--home", str(home)) if home else ())],
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
            "ANNOTATOR_STUDIO_TOKEN": "t",
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("command", UNWANTED)
def test_a_command_loads_only_what_it_needs(
    command: str, project: World, gold_home: Path, tmp_path: Path
) -> None:
    homes = {"export": gold_home, "push": gold_home}
    home = homes.get(command.split()[0], project.settings.home)

    done = start(command, None if "--help" in command else home, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not set(json.loads(done.stderr.splitlines()[-1])) & UNWANTED[command]


def with_home(command: Any, path: list[str]) -> Iterator[list[str]]:
    """Yield the words of each command below one that works on a project, with what it requires."""
    options = {name for parameter in command.params for name in parameter.opts}
    given = [
        word
        for parameter in command.params
        if parameter.required
        for word in (*parameter.opts[:1], "1")[parameter.param_type_name == "argument" :]
    ]
    if "--home" in options:
        yield [*path, *given]
    for name, child in getattr(command, "commands", {}).items():
        yield from with_home(child, [*path, name])


def test_a_wrong_folder_is_told_by_every_command_before_anything_heavy_is_loaded(
    tmp_path: Path,
) -> None:
    more = {"connect": ["--project", "1"], "lexicon": ["terms.tsv"]}
    makes_a_project = {"init", "demo", "db restore"}
    commands = [
        [*words, *more.get(words[0], ()), "--home", str(tmp_path)]
        for words in with_home(typer.main.get_command(app), [])
        if not makes_a_project & {words[0], " ".join(words[:2])}
    ]

    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL],
        input=json.dumps([commands, sorted(LIGHT | DATABASE | {"numpy"})]),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )

    message = f"{tmp_path} holds no annotator.toml; make a project: annotator init --home"
    expected = [1, f"annotator: error: {message} {tmp_path}\n", []]
    told = json.loads(done.stdout)
    assert len(told) > 28
    assert told == dict.fromkeys(told, expected)
