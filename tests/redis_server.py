"""A Redis server of the tests' own on a free loopback port; it keeps nothing on the disk."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services_here import missing

__all__ = ["PASSWORD", "RedisServer", "running_redis"]

PASSWORD = "not-known-to-anybody"


class RedisServer:
    """May be killed and started again, empty, at the same address.

    With a ``certificate`` (and its key in the same file) it speaks TLS alone and asks for PASSWORD.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        program = shutil.which("redis-server")
        if program is None:
            missing("redis-server is not on this machine")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = int(probe.getsockname()[1])
        self._command = [program, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._certificate = certificate
        if certificate is None:
            self._command += ["--port", str(self._port)]
        else:
            self._command += ["--port", "0", "--tls-port", str(self._port)]
            for option in ("--tls-cert-file", "--tls-key-file"):
                self._command += [option, str(certificate)]
            self._command += ["--tls-auth-clients", "no", "--requirepass", PASSWORD]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address as ``queue_url``."""
        place = f"127.0.0.1:{self._port}/0"
        if self._certificate is None:
            return f"redis://{place}"
        return f"rediss://:{PASSWORD}@{place}?ssl_ca_certs={self._certificate}"

    def start(self) -> None:
        """Start it and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, cwd="/")
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        """End it at once; whatever it held is gone. May be called twice."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(certificate: Path | None = None) -> Iterator[RedisServer]:
    """Start a server and stop it whatever happens."""
    server = RedisServer(certificate)
    server.start()
    try:
        yield server
    finally:
        server.kill()
