"""The server in front of the application: waitress, with limits and a clean shutdown."""

from __future__ import annotations

import errno
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import BaseWSGIServer, create_server

from annotator.errors import ConfigError
from annotator.live_settings import LiveSettings
from annotator.logs import get_logger
from annotator.settings import Settings
from ml_backend.auth import Credentials
from ml_backend.channel import Channel, Dispatcher
from ml_backend.door import Door, Hosts

__all__ = ["BackendServer", "serve"]

_QUICK_THREADS = 4  # besides those that predict, so that setup and webhooks need not wait
_DRAIN_S = 10.0
_LOOP_S = 1.0
_IDLE_S = 60  # a connection without a request for so long is closed
_MAX_HEADERS = 65_536  # bytes
_IN_MEMORY = 8_000_000  # waitress puts larger bodies into an unnamed temporary file
_log = get_logger("backend")


class BackendServer:
    """A bound server; ``run`` serves until ``stop``. Both may be called from any thread.

    Raises:
        ConfigError: if host and port cannot be listened on.
    """

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._map: dict[int, Any] = {}
        self._stop = threading.Event()
        max_body = int(settings.max_body_mb * 1e6)
        door = Door(Credentials(settings), Hosts(LiveSettings(settings)), max_body=max_body)
        sockets = _listen(settings.host, settings.port)
        self._dispatcher = Dispatcher(settings.threads + _QUICK_THREADS)
        _wrap(app, sockets, self._map, self._dispatcher, max_body=max_body)
        self._listeners = [s for s in self._map.values() if isinstance(s, BaseWSGIServer)]
        for listener in self._listeners:
            listener.channel_class = partial(Channel, door)
        self.host = settings.host
        self.port = int(self._listeners[0].effective_port)

    def run(self) -> None:
        """Serve until ``stop`` is called; requests in flight are still answered."""
        try:
            while not self._stop.is_set():
                wasyncore.loop(timeout=_LOOP_S, use_poll=True, map=self._map, count=1)
                self._dispatcher.release()
            self._drain()
        finally:
            self._dispatcher.shutdown(timeout=1)
            wasyncore.close_all(self._map)

    def stop(self) -> None:
        """Ask ``run`` to return. May be called twice, and from a signal handler."""
        self._stop.set()
        for listener in self._listeners:
            try:
                listener.pull_trigger()
            except OSError:  # closed already
                return

    def _drain(self) -> None:
        for listener in self._listeners:
            listener.accepting = False
        self._dispatcher.release(until=float("inf"))
        deadline = time.monotonic() + _DRAIN_S
        while self._is_busy() and time.monotonic() < deadline:
            wasyncore.loop(timeout=0.1, use_poll=True, map=self._map, count=1)

    def _is_busy(self) -> bool:
        return any(
            channel.requests or channel.total_outbufs_len
            for listener in self._listeners
            for channel in list(listener.active_channels.values())
        )


def serve(
    app: Flask, settings: Settings, *, on_ready: Callable[[BackendServer], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM. Call it in the main thread.

    ``on_ready`` is called once the port is bound; ``port = 0`` binds a free one.

    Raises:
        ConfigError: if host and port cannot be listened on; the message says what to change.
    """
    server = BackendServer(app, settings)
    _log.info("backend.started", host=server.host, port=server.port)
    with _signals(server.stop):
        if on_ready is not None:
            on_ready(server)
        server.run()
    _log.info("backend.stopped")


def _listen(host: str, port: int) -> list[socket.socket]:
    """Bind every address that ``host`` resolves to (with port 0, only the first)."""
    place = f"{host}:{port}"
    found: list[socket.socket] = []
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for family, _, _, _, address in addresses[: None if port else 1]:
            found.append(socket.create_server(address[:2], family=family))
    except OSError as error:
        for bound in found:
            bound.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"{place} is taken by another program; stop it, or choose another port with --port"
            ) from error
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            f"cannot listen on {place} ({reason}); check host, or choose another port with --port"
        ) from error
    return found


def _wrap(
    app: Flask,
    sockets: list[socket.socket],
    map_: dict[int, Any],
    dispatcher: Dispatcher,
    *,
    max_body: int,
) -> None:
    create_server(
        app,
        map=map_,
        sockets=sockets,
        _dispatcher=dispatcher,
        # Chunks are counted as they come; a length that is told is held to max_body by the door.
        max_request_body_size=2 * max_body,
        max_request_header_size=_MAX_HEADERS,
        inbuf_overflow=_IN_MEMORY,
        outbuf_overflow=_IN_MEMORY,
        connection_limit=100_000,  # connections are limited by closing the most idle ones
        channel_timeout=_IDLE_S,
        cleanup_interval=5,
        clear_untrusted_proxy_headers=True,
        expose_tracebacks=False,
        ident="annotator",
    )


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    before = {
        number: signal.signal(number, lambda *_: stop())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
