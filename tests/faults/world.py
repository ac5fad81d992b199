"""A project with a backend, two workers and people at work, and what may befall them."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factories import RASH, TINY_CONFIG_XML
from reconcile_steps import RESULTS
from sqlalchemy import text
from tiny_bert import TINY_SCHEMA, WORDS, make_tiny_encoder
from training_processes import training_processes

from annotator.errors import AnnotatorError, StoreError
from annotator.jobs.background import BackgroundCommands
from annotator.jobs.presence import workers_alive
from annotator.services.models.registry import roll_back
from annotator.settings import Settings, init_home, load_settings, write_secrets
from annotator.store.database import Database
from annotator.store.origins import stranger_of
from annotator.store.projects import ensure_project, link_studio, save_schema
from annotator.store.runs import cancel_run, list_runs, submit_run
from db import make_engine
from faults.clock import Clock
from faults.served_studio import PASSWORD, ServedStudio, make_stranger, wait_until

PROGRAMS = ("backend", "worker-1", "worker-2")
LEASE_S = 5.0
STALL_S = 60.0  # a program may take as long to start on a machine with much to do
TRIES_S, STRANGE_S = 4.0, 12.0  # longer than a client tries again; than workers do not look
CONFIGS = (
    TINY_CONFIG_XML,
    TINY_CONFIG_XML.replace('<Label value="Drug"/>', '<Label value="Drug"/><Label value="Dose"/>'),
    TINY_CONFIG_XML.replace('name="text"', 'name="note"').replace('toName="text"', 'toName="note"'),
)
JUMPS_S = (0, 45, -45, 3600, -3600)
MOST_OPEN, FEWEST_OPEN = 60, 8


@dataclass
class FaultWorld:
    """Everything of one story. ``close`` ends all that was started."""

    folder: Path
    rng: random.Random
    database_url: str | None = None
    queue_url: str | None = None
    n_faults: Counter[str] = field(default_factory=Counter)
    n_acts: Counter[str] = field(default_factory=Counter)
    alive: dict[str, int] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    _thaws: list[threading.Timer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.served = ServedStudio(random.Random(self.rng.random()))  # noqa: S311
        self.home = self.folder / "home"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.settings = self._make_home()
        self.database = Database(self.settings.database)
        self.database.upgrade()
        with self.database.write() as session:
            project = ensure_project(session, name="ward", unit="sentence")
            save_schema(session, project.id, TINY_SCHEMA, config_xml=TINY_CONFIG_XML)
            link_studio(session, project.id, self.served.link)
        self.project_id = project.id
        self.programs = BackgroundCommands(
            self.folder / "logs", {"ANNOTATOR_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        )

    def _make_home(self) -> Settings:
        urls = {"database_url": self.database_url, "queue_url": self.queue_url}
        init_home(
            self.home,
            project="ward",
            unit="sentence",
            encoder=str(make_tiny_encoder(self.folder / "encoder")),
            device="cpu",
            precision="fp32",
            epochs=1,
            min_steps=100,
            retrain_after=6,
            retrain_share=0.0,
            debounce_s=0.5,
            sync_interval_s=3.0,
            lease_s=LEASE_S,
            stall_s=STALL_S,
            max_attempts=6,
            holdout_share=0.3,
            port=self.port,
            **{key: url for key, url in urls.items() if url},
        )
        link = self.served.link
        write_secrets(
            self.home,
            {
                "backend_password": PASSWORD,
                "studio_url": link.host,
                "studio_token": "0" * 40,
                "studio_project": link.project_id,
            },
        )
        return load_settings(self.home)

    def close(self) -> None:
        """End all programs, also frozen ones."""
        self.thaw()
        for name in list(self.alive):
            self.kill(name)
        for pid in training_processes(self.home):
            _signal(pid, signal.SIGKILL)
        self.programs.close()
        self.served.close()
        self.database.close()

    # ------------------------------------------------------------------ programs

    def start_missing(self) -> None:
        """Start what is not running, as a service manager would."""
        for name in PROGRAMS:
            if name in self.alive and not self._has_ended(name):
                continue
            if self.alive.pop(name, None) is not None:
                self.n_faults[f"{name} ended by itself"] += 1
            arguments = ("serve",) if name == "backend" else ("worker",)
            self.alive[name] = self.programs.start(name, *arguments)
        self.served.backend_port = self.port

    def _has_ended(self, name: str) -> bool:
        try:
            self.programs.check(name)
        except AnnotatorError:
            return True
        return False

    def are_up(self) -> bool:
        """Tell whether all programs have come to work."""
        here = {name.split(":")[-1] for name in workers_alive(self.database)}
        workers = {str(pid) for name, pid in self.alive.items() if name != "backend"}
        return workers <= here and bool(self.health())

    def health(self) -> dict[str, Any]:
        """What the backend says of itself; nothing if it does not answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/health",
            headers={"Authorization": self.settings.basic_auth},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except OSError:
            return {}
        return found

    def kill(self, name: str) -> None:
        """Kill one program with SIGKILL, if it runs."""
        if self.alive.pop(name, None) is not None:
            self.programs.kill(name)

    def thaw(self) -> None:
        """Let everything that is frozen go on."""
        for timer in self._thaws:
            timer.join()
        self._thaws.clear()

    # ------------------------------------------------------------------ people

    def act(self) -> None:
        """Somebody does something in Label Studio, or at the command line."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (80, self._make_task),
            (200, self._annotate),
            (60, self._correct),
            (30, self._delete_annotation),
            (8, self._delete_task),
            (3, self._retrain),
            (1, self._cancel),
            (2, self._roll_back),
        ]
        (act,) = self.rng.choices([a for _, a in acts], [weight for weight, _ in acts])
        self.n_acts[act.__name__.strip("_")] += 1
        with self.served.lock, contextlib.suppress(StoreError):
            act()

    def _make_task(self) -> None:
        studio = self.served.studio
        if self._n_open() < MOST_OPEN:
            words = " ".join(self.rng.choices(WORDS, k=12))  # few notes are like another
            studio.add_task(text=f"{RASH} Then {words}.")

    def _n_open(self) -> int:
        return sum(not task["annotations"] for task in self.served.studio.tasks(1))

    def _annotate(self) -> None:
        studio = self.served.studio
        if self._n_open() < FEWEST_OPEN:  # the queue never runs dry
            self._make_task()
        tasks = [t["id"] for t in studio.tasks(1) if len(t["annotations"]) < 2]
        if tasks:
            studio.annotate(
                self.rng.choice(tasks),
                self._drawn(self.rng.choice(RESULTS[1:])),
                skip=self.rng.random() < 0.1,
                completed_by=self.rng.choice((1, 2, 3)),
            )

    def _drawn(self, result: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Name the text as the configuration of now does, as the editor would."""
        name = "note" if 'name="note"' in self.served.studio.config_xml else "text"
        return [{**one, "to_name": name} if "to_name" in one else one for one in result]

    def _annotations(self) -> list[int]:
        return [a["id"] for task in self.served.studio.tasks(1) for a in task["annotations"]]

    def _correct(self) -> None:
        found = self._annotations()
        if found:
            result = self._drawn(self.rng.choice(RESULTS))
            self.served.studio.update(self.rng.choice(found), result)

    def _delete_annotation(self) -> None:
        found = self._annotations()
        if found:
            silent = self.rng.random() < 0.5
            self.served.studio.delete_annotation(self.rng.choice(found), silent=silent)

    def _delete_task(self) -> None:
        tasks = sorted(self.served.studio.task_ids(1))
        if len(tasks) > 10:
            self.served.studio.delete_task(self.rng.choice(tasks))

    def _retrain(self) -> None:
        with self.database.write() as session:
            submit_run(session, self.project_id, trigger="command")

    def _cancel(self) -> None:
        with self.database.write() as session:
            for run in list_runs(session, self.project_id, states=("queued", "running")):
                cancel_run(session, run.id)

    def _roll_back(self) -> None:
        roll_back(self.database, self.project_id, actor="somebody")

    # ------------------------------------------------------------------ faults

    def strike(self) -> str:
        """Let one bad thing happen, and return what."""
        kinds: list[tuple[int, Callable[[], object]]] = [
            (3, self.kill_backend),
            (4, self.kill_a_worker),
            (5, self.kill_the_training),
            (2, self.kill_a_worker_and_its_training),
            (2, self.cut_the_power),
            (2, self.freeze_a_worker),
            (2, self.freeze_the_training_and_the_workers),
            (2, self.freeze_the_training_alone),
            (1, self.freeze_backend),
            (2, self.take_label_studio_down),
            (2, self.replace_label_studio),
            (2, self.change_the_configuration_while_the_backend_is_down),
        ]
        if self.clock.can_jump:
            kinds.append((4, self.set_the_clock))
        if self.database.engine_name == "postgresql":
            kinds.append((4, self.cut_the_connections))
        (kind,) = self.rng.choices([k for _, k in kinds], [weight for weight, _ in kinds])
        what = kind.__name__.replace("_", " ")
        self.n_faults[what if kind() is not False else f"{what}: nothing to hit"] += 1
        return what

    def kill_backend(self) -> None:
        """The backend dies; events find nobody."""
        self.kill("backend")

    def kill_a_worker(self) -> None:
        """A worker dies; its training may go on."""
        self.kill(self.rng.choice(PROGRAMS[1:]))

    def kill_the_training(self) -> bool:
        """The training dies, as for want of memory; False if there is none."""
        pids = training_processes(self.home)
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        return bool(pids)

    def kill_a_worker_and_its_training(self) -> None:
        """Both die."""
        self.kill_the_training()
        self.kill_a_worker()

    def cut_the_power(self) -> None:
        """Everything dies."""
        for name in PROGRAMS:
            self.kill(name)
        self.kill_the_training()

    def freeze_a_worker(self) -> None:
        """A worker hangs for longer than its leases."""
        self._freeze([self.alive.get(self.rng.choice(PROGRAMS[1:]), 0)])

    def freeze_the_training_alone(self) -> bool:
        """The training hangs for longer than anybody waits for its progress."""
        pids = training_processes(self.home)
        self._freeze(pids, for_s=2 * STALL_S)
        return bool(pids)

    def set_the_clock(self) -> None:
        """The clock of this machine is an hour ahead, behind, or right again."""
        self.clock.set_ahead(self.rng.choice(JUMPS_S))

    def freeze_the_training_and_the_workers(self) -> bool:
        """The training hangs for longer than its lease, and so do the workers."""
        pids = training_processes(self.home)
        self._freeze([*pids, *(self.alive.get(name, 0) for name in PROGRAMS[1:])])
        return bool(pids)

    def freeze_backend(self) -> None:
        """The backend hangs."""
        self._freeze([self.alive.get("backend", 0)])

    def _freeze(self, pids: list[int], *, for_s: float | None = None) -> None:
        frozen = [pid for pid in pids if pid and _signal(pid, signal.SIGSTOP)]

        def go_on() -> None:
            for pid in frozen:
                _signal(pid, signal.SIGCONT)

        timer = threading.Timer(for_s or self.rng.uniform(1.2, 2.0) * LEASE_S, go_on)
        timer.start()
        self._thaws.append(timer)

    def take_label_studio_down(self) -> None:
        """Label Studio answers 503 for some seconds."""
        self.served.down = True
        time.sleep(self.rng.uniform(1, 6))
        self.served.down = False

    def replace_label_studio(self) -> None:
        """For some seconds another team's Label Studio is at the address of ours."""
        self.served.down = True
        for name in PROGRAMS[1:]:  # nobody is frozen between the proof and what it is good for
            if name in self.alive:
                _signal(self.alive[name], signal.SIGCONT)
        time.sleep(TRIES_S)
        stranger = make_stranger()
        before = copy.deepcopy(stranger._tasks)
        self.served.stranger, self.served.down = stranger, False
        if wait_until(self._knows_of_a_stranger, timeout_s=STRANGE_S):
            self.n_faults["a stranger was known as one"] += 1
        with self.served.lock:
            self.served.stranger = None
        changed = (stranger._tasks != before, stranger.model_version, stranger.pushes[:1])
        assert changed == (False, "", []), "something was changed in another team's Label Studio"
        assert len(stranger.imports) == len(before), "texts were sent to another team"

    def _knows_of_a_stranger(self) -> bool:
        with contextlib.suppress(StoreError), self.database.read() as session:
            return stranger_of(session, self.project_id) is not None
        return False

    def change_the_configuration_while_the_backend_is_down(self) -> None:
        """The text, or its field, has another name, or labels come and go; no event is heard."""
        self.kill("backend")
        with self.served.lock:
            self.served.studio.configure(self.rng.choice(CONFIGS))

    def cut_the_connections(self) -> None:
        """The database server throws everybody out."""
        engine = make_engine(self.settings.database)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND datname = current_database()"
                )
            )
        engine.dispose()


def _signal(pid: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
