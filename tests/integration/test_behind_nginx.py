"""The nginx configuration and the certificate of docs/howto/tls-behind-nginx.md, really run."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from backend_world import BASIC, BEARER, World, make_predict, open_world
from services_here import missing

from annotator.errors import StudioError
from annotator.services.reports.doctor import ask_backend
from annotator.settings import Settings
from annotator.studio.client import StudioClient
from ml_backend.server import BackendServer

pytestmark = pytest.mark.slow

PLACES = ("own", "below")  # annotator under a name of its own; below Label Studio's
PREFIX = {"own": "/", "below": "/annotator/"}


def read_blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), flags=re.M | re.S)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


class Echo(BaseHTTPRequestHandler):
    """Stands where Label Studio would: says what path and host it was asked for."""

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "host": self.headers["Host"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A running nginx with both configurations of the page."""

    ports: dict[str, int]
    authority: Path
    settings: Settings
    folder: Path

    def url(self, place: str) -> str:
        return f"https://localhost:{self.ports[place]}{PREFIX[place]}".rstrip("/")

    def ask(
        self, place: str, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request, ``path`` as nginx gets it."""
        trust = ssl.create_default_context(cafile=str(self.authority))
        connection = http.client.HTTPSConnection(
            "localhost", self.ports[place], timeout=20, context=trust
        )
        packed = None if body is None else json.dumps(body)
        kind = {"Content-Type": "application/json"}
        try:
            connection.request(method, path, packed, {**kind, **headers})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()


@contextmanager
def threaded(server: Any, *, run: Any, stop: Any) -> Iterator[Any]:
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield server
    finally:
        stop()
        thread.join(20)


@contextmanager
def nginx(folder: Path, sites: list[str], ports: list[int]) -> Iterator[None]:
    """Run nginx in one process, with all its files in ``folder``."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing("nginx is not installed")
    kept = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/pid;\nevents {{}}\n"
        f"http {{\naccess_log {folder}/access.log;\n{kept}{''.join(sites)}}}\n"
    )
    log = folder / "error.log"
    process = subprocess.Popen(
        [program, "-p", folder, "-c", folder / "nginx.conf", "-e", log],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for port in ports:
            wait_for(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nginx does not listen on {port}: {log.read_text() if log.exists() else ''}")


@pytest.fixture(scope="module")
def page(repository: Path) -> Path:
    return repository / "docs" / "howto" / "tls-behind-nginx.md"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("behind")) as opened:
        yield opened


@pytest.fixture(scope="module")
def proxy(page: Path, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if shutil.which("openssl") is None:
        missing("openssl is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    script = re.sub(r"(annotator|studio)\.example", "localhost", read_blocks(page, "sh")[0])
    subprocess.run(["bash", "-euc", script], cwd=folder, check=True, capture_output=True)
    backend = BackendServer(world.client().application, world.settings)
    studio = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    ports = {place: free_port() for place in PLACES}
    sites = [
        site.replace("listen 443", f"listen 127.0.0.1:{ports[place]}")
        .replace("annotator.example", "localhost")
        .replace("studio.example", "localhost")
        .replace("/etc/nginx/tls", str(folder))
        .replace("127.0.0.1:9090", f"127.0.0.1:{backend.port}")
        .replace("127.0.0.1:8080", f"127.0.0.1:{studio.server_port}")
        for place, site in zip(PLACES, read_blocks(page, "nginx"), strict=True)
    ]
    with ExitStack() as stack:
        stack.enter_context(threaded(backend, run=backend.run, stop=backend.stop))
        stack.callback(studio.server_close)
        stack.enter_context(threaded(studio, run=studio.serve_forever, stop=studio.shutdown))
        stack.enter_context(nginx(folder, sites, list(ports.values())))
        yield Proxy(
            ports=ports, authority=folder / "ca.crt", settings=world.settings, folder=folder
        )


@pytest.mark.parametrize("place", PLACES)
def test_health_is_answered_over_tls(proxy: Proxy, place: str) -> None:
    status, _, body = proxy.ask(place, "GET", f"{PREFIX[place]}health")

    assert (status, json.loads(body)["status"]) == (200, "UP")


@pytest.mark.parametrize("place", PLACES)
def test_predictions_come_through_with_the_password(proxy: Proxy, place: str) -> None:
    path = f"{PREFIX[place]}predict"

    status, _, body = proxy.ask(place, "POST", path, make_predict("Rash after aspirin."), **BASIC)

    assert status == 200
    assert len(json.loads(body)["results"]) == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_large_body_is_not_written_to_a_file_on_its_way(proxy: Proxy, place: str) -> None:
    folders = [proxy.folder / name for name in ("client_body", "proxy")]
    before = [folder.stat().st_mtime_ns for folder in folders]
    body = {**make_predict("Rash after aspirin."), "project": "x" * 3_000_000}

    status, _, _ = proxy.ask(place, "POST", f"{PREFIX[place]}predict", body, **BASIC)

    assert status == 200
    assert [folder.stat().st_mtime_ns for folder in folders] == before


@pytest.mark.parametrize("place", PLACES)
def test_the_bearer_token_comes_through(proxy: Proxy, place: str) -> None:
    status, _, _ = proxy.ask(place, "GET", f"{PREFIX[place]}api/v1/status", **BEARER)

    assert status == 200


@pytest.mark.parametrize("place", PLACES)
def test_without_credentials_annotator_asks_for_them(proxy: Proxy, place: str) -> None:
    status, headers, body = proxy.ask(place, "GET", PREFIX[place])

    assert (status, json.loads(body)["code"]) == (401, "unauthorized")
    assert {name.lower() for name in headers} >= {"www-authenticate", "content-security-policy"}


@pytest.mark.parametrize("place", PLACES)
def test_what_the_dashboard_asks_for_is_found_below_its_own_address(
    proxy: Proxy, place: str
) -> None:
    _, _, html = proxy.ask(place, "GET", PREFIX[place], **BASIC)
    _, _, script = proxy.ask(place, "GET", f"{PREFIX[place]}static/app.js", **BASIC)
    named = re.findall(r'(?:href|src)="([^"#]+)"', html.decode())
    asked = re.findall(r'\bask\("([^"]+)"\)', script.decode())

    paths = [urljoin(PREFIX[place], name) for name in (*named, *asked)]
    found = {path: proxy.ask(place, "GET", path, **BASIC)[0] for path in paths}

    assert (len(named), len(asked)) == (3, 2)
    assert all(path.startswith(PREFIX[place]) for path in paths), paths
    assert set(found.values()) == {200}, found


def test_the_address_without_the_last_slash_leads_to_the_dashboard(proxy: Proxy) -> None:
    status, headers, _ = proxy.ask("below", "GET", "/annotator")

    assert (status, headers["Location"]) == (301, f"{proxy.url('below')}/")


def test_label_studio_is_asked_by_the_name_that_people_typed(proxy: Proxy) -> None:
    _, _, body = proxy.ask("below", "GET", "/projects/1/data")

    host = f"localhost:{proxy.ports['below']}"
    assert json.loads(body) == {"path": "/projects/1/data", "host": host}


@pytest.mark.parametrize("place", PLACES)
def test_a_body_over_the_limit_is_refused_before_it_is_sent(proxy: Proxy, place: str) -> None:
    status, _, _ = proxy.ask(
        place, "POST", f"{PREFIX[place]}predict", **BASIC, **{"Content-Length": "99000000"}
    )

    assert status == 413


def test_the_limits_of_the_page_are_no_less_than_those_of_the_settings(page: Path) -> None:
    default = Settings.model_fields["max_body_mb"].default
    sites = "".join(read_blocks(page, "nginx"))

    sizes = re.findall(r"client_max_body_size (\d+)m;", sites)
    waits = re.findall(r"proxy_read_timeout (\d+)s;", sites)

    assert min(int(size) for size in sizes) * 2**20 >= default * 1e6
    assert min(int(wait) for wait in waits) > 100
    assert len(sizes) == len(waits) == sites.count("proxy_pass") == 3


@pytest.mark.parametrize("place", PLACES)
def test_the_doctor_finds_the_backend_once_the_ca_is_named(
    proxy: Proxy, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = proxy.settings.model_copy(update={"backend_url": proxy.url(place)})
    before = ask_backend(settings)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.authority))

    after = ask_backend(settings)

    assert (before.health, "SSL_CERT_FILE" in before.failure) == (None, True)
    assert (after.failure, after.login_status) == ("", 200)


def test_a_studio_with_a_certificate_of_an_unknown_ca_is_explained_at_once(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[httpx.Request] = []
    send = httpx.HTTPTransport.handle_request

    def counted(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        tries.append(request)
        return send(transport, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", counted)

    with (
        StudioClient(proxy.url("own"), "0" * 40) as client,
        pytest.raises(StudioError, match=r"certificate is not trusted here.*SSL_CERT_FILE"),
    ):
        client.whoami()

    assert len(tries) == 1


def test_a_studio_is_reached_once_the_ca_is_named(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.authority))
    url = f"https://localhost:{proxy.ports['below']}"

    with StudioClient(url, "0" * 40) as client:
        answer = client.whoami()

    assert answer["path"] == "/api/current-user/whoami"
