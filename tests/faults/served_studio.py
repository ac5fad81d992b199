"""The Label Studio in memory, served over HTTP to other processes, with webhooks that get lost."""

from __future__ import annotations

import base64
import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from factories import LINK
from fake_studio import FakeStudio, make_region

from annotator.store.projects import StudioLink

PASSWORD = "correct horse"
BASIC = "Basic " + base64.b64encode(f"annotator:{PASSWORD}".encode()).decode()
STRANGE = "Of another team"
LOST, TWICE, LATE = 0.2, 0.15, 0.1  # shares of the events


class ClockedStudio(FakeStudio):
    """Shows the time of this machine, which may jump, and never the same twice in a row."""

    def _tick(self) -> str:
        before = self._now
        while self._now == before:
            self._now = datetime.now(UTC)
        return self._now.isoformat().replace("+00:00", "Z")


@dataclass
class ServedStudio:
    """One project behind HTTP. Whoever touches ``studio`` holds ``lock``.

    Events go to ``backend_port`` as Label Studio sends them: once, whoever listens. On top of
    that the network loses some, doubles some, and brings some late.
    """

    rng: random.Random
    studio: ClockedStudio = field(default_factory=lambda: ClockedStudio(datetime.now(UTC)))
    lock: threading.RLock = field(default_factory=threading.RLock)
    backend_port: int | None = None
    down: bool = False
    n_events: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    stranger: ClockedStudio | None = None

    def __post_init__(self) -> None:
        world = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            def do_PATCH(self) -> None:
                self._answer("PATCH")

            def do_DELETE(self) -> None:
                self._answer("DELETE")

            def log_message(self, *_arguments: object) -> None:
                pass

            def _answer(self, method: str) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                status, answer = world.answer(method, self.path, body)
                packed = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(packed)))
                self.end_headers()
                self.wfile.write(packed)

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_arguments: object) -> None:
                """Say nothing of clients that were killed while they were answered."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._server.serve_forever, daemon=True),
            threading.Thread(target=self._send_events, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def link(self) -> StudioLink:
        """What our database calls this project."""
        host = f"http://127.0.0.1:{self._server.server_address[1]}"
        return StudioLink(host=host, key=LINK.key, project_id=LINK.project_id)

    def close(self) -> None:
        """Serve no more."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        for thread in self._threads:
            thread.join(10)

    @property
    def shown(self) -> ClockedStudio:
        """What answers at the address: ours, or another team's that was put in its place."""
        return self.stranger or self.studio

    # ------------------------------------------------------------------ what a client asks

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Answer one request."""
        if self.down:
            return 503, {"detail": "down for a moment"}
        url = urlsplit(target)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        path = re.sub(r"\d+", "N", url.path.strip("/"))
        number = next((int(n) for n in re.findall(r"/(\d+)", url.path)), 0)
        with self.lock:
            try:
                return self._route(f"{method} {path}", number, query, body)
            except KeyError:
                return 404, {"detail": "not found"}

    def _route(self, what: str, number: int, query: dict[str, str], body: Any) -> tuple[int, Any]:
        studio = self.shown
        match what:
            case "GET api/current-user/whoami":
                return 200, {"id": 1}
            case "GET api/projects/N":
                return 200, self._project()
            case "PATCH api/projects/N":
                if "model_version" in body:
                    studio.select_version(number, body["model_version"])
                return 200, self._project()
            case "GET api/projects/N/next":
                return self._next()
            case "GET api/tasks":
                return 200, self._page(query)
            case "GET api/tasks/N":
                return 200, studio.task(number) or _missing()
            case "GET api/predictions":
                return 200, studio.predictions(int(query["task"]))
            case "DELETE api/predictions/N":
                self._delete_predictions({number})
                return 204, None
            case "POST api/projects/N/import":
                ids = studio.import_tasks(number, [one["data"] for one in body])
                return 201, {"task_count": len(ids), "task_ids": ids}
            case "POST api/projects/N/import/predictions":
                return 201, {"created": studio.push_predictions(number, body)}
        self.unknown.add(what)
        return 404, {"detail": "not found"}

    def _project(self) -> dict[str, Any]:
        return {
            "id": LINK.project_id,
            "title": "Ward",
            "created_at": self.shown.made_at,
            "label_config": self.shown.config_xml,
            "sampling": "Uncertainty sampling",
            "model_version": self.shown.model_version,
            "task_number": len(self.shown.task_ids(LINK.project_id)),
        }

    def _next(self) -> tuple[int, Any]:
        def score(task: dict[str, Any]) -> float:
            mine = [p for p in task["predictions"] if p["model_version"] == studio.model_version]
            return float(mine[-1]["score"]) if mine else 1.0

        studio = self.shown
        left = [task for task in studio.tasks(LINK.project_id) if not task["annotations"]]
        return (200, min(left, key=score)) if left else (404, {"detail": "no task left"})

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        items = json.loads(query["query"])["filters"]["items"] if "query" in query else []
        wanted = {
            (item["filter"].split(":")[-1], item["operator"]): item["value"] for item in items
        }
        changed = wanted.get(("updated_at", "greater"))
        since = None if changed is None else datetime.fromisoformat(changed)
        first, end = wanted.get(("id", "greater"), 0), wanted.get(("id", "less"), 2**63)
        found = [
            task
            for task in self.shown.tasks(LINK.project_id, updated_after=since)
            if int(first) < task["id"] < int(end)
        ]
        page = found[: int(query.get("page_size", 100))]
        if query.get("fields") == "task_only":
            fields = query["include"].split(",")
            page = [{field: task[field] for field in fields} for task in page]
        return {"tasks": page, "total": len(found)}

    def _delete_predictions(self, ids: set[int]) -> None:
        for task in self.shown._tasks.values():
            task["predictions"] = [p for p in task["predictions"] if p["id"] not in ids]

    # ------------------------------------------------------------------ events

    def _send_events(self) -> None:
        late: list[Any] = []
        sent = 0
        while not self._stop.wait(0.05):
            with self.lock:
                new, sent = self.studio.events[sent:], len(self.studio.events)
            for event in new:
                chance = self.rng.random()
                if chance < LOST:
                    self._count("lost")
                    continue
                if chance < LOST + LATE:
                    late.append(event)
                    continue
                for _ in range(2 if chance > 1 - TWICE else 1):
                    self._send(event)
            if late and self.rng.random() < 0.1:
                self._send(late.pop(self.rng.randrange(len(late))))

    def _send(self, event: Any) -> None:
        if self.backend_port is None:
            self._count("unheard")
            return
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.backend_port}/webhook",
            data=json.dumps(event).encode(),
            headers={"Content-Type": "application/json", "Authorization": BASIC},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                self._count(f"answered {answer.status}")
        except urllib.error.HTTPError as refused:
            self._count(f"answered {refused.code}")
        except OSError:
            self._count("unheard")

    def _count(self, what: str) -> None:
        self.n_events[what] = self.n_events.get(what, 0) + 1


def make_stranger() -> ClockedStudio:
    """Another team's Label Studio; its project, tasks and annotations have the numbers of ours."""
    stranger = ClockedStudio(datetime.now(UTC))
    stranger.key = f"{LINK.project_id}.{int(stranger.key.split('.')[1]) + 1}"
    for i in range(8):
        text = f"{STRANGE} {i}."
        region = make_region("s", 0, len(STRANGE), "Drug", text=text)
        stranger.annotate(stranger.add_task(text=text), [region], completed_by=9)
    return stranger


def _missing() -> Any:
    raise KeyError


def wait_until(is_so: Any, *, timeout_s: float, pause_s: float = 0.2) -> bool:
    """Wait for something to come true; False if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
    return True
