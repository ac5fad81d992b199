"""Connections of the server: what becomes of a request between its headers and a thread.

waitress keeps a whole body before the application sees its headers, closes nobody when it is
full, and gives all requests to one pool. Here the door is asked as soon as the headers are there,
a stranger's body is counted and thrown away, the most idle connection makes room for a new one,
and neither ``/health`` nor a refusal waits for the threads that wait for a model or a database.
"""

from __future__ import annotations

import heapq
import io
import itertools
import json
import threading
import time
import uuid
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, ThreadedTaskDispatcher

from ml_backend.door import HEALTH, Door, Refusal
from ml_backend.errors import envelope
from ml_backend.headers import HEADERS

__all__ = ["Channel", "Dispatcher"]

_MOST_CONNECTIONS: Final = 400
_HEALTH_THREADS: Final = 2


class _Nowhere:
    """Takes the place of a body's buffer and keeps nothing."""

    def append(self, _part: bytes) -> None:
        pass

    def __len__(self) -> int:
        return 0

    def getfile(self) -> io.BytesIO:
        return io.BytesIO()

    def close(self) -> None:
        pass


class _Request(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """A request whose headers decide whether its body is kept."""

    body_rcv: Any
    expect_continue: bool

    def __init__(self, adj: Any, channel: Channel) -> None:
        super().__init__(adj)
        self._channel = channel

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers, and ask the door."""
        super().parse_header(header_plus)
        # Two lengths, or one that this version does not have: a proxy may see another request.
        if "TRANSFER_ENCODING" in self.headers or (
            self.chunked and "CONTENT_LENGTH" in self.headers
        ):
            raise ParsingError("Content-Length and Transfer-Encoding contradict each other")
        if self.version == "1.1" and "HOST" not in self.headers:
            raise ParsingError("Host is missing")
        self.error = self._channel.door.examine(
            self.path,
            self.headers,
            has_body=self.body_rcv is not None,
            address=str(self._channel.addr[0]),
        )
        if self.error is None:
            self._channel.is_known |= "AUTHORIZATION" in self.headers
        elif self.expect_continue:  # the client has not begun to send it
            self.expect_continue, self.body_rcv, self.content_length = False, None, 0
        elif self.body_rcv is not None:
            # Read to its end all the same: who is answered while sending may not see the answer.
            self.body_rcv.buf = _Nowhere()


class _EnvelopeTask(ErrorTask):  # type: ignore[misc] # waitress has no types
    """Answers requests that never reach the application (malformed, oversized or refused)."""

    def execute(self) -> None:
        error = self.request.error
        kind = "too_large" if error.code == 413 else "bad_request"
        message = f"{error.reason}: the request was not read"
        if isinstance(error, Refusal):
            kind, message = error.kind, error.message
            self.response_headers.extend(error.headers)
        number = uuid.uuid4().hex
        packed = json.dumps(envelope(code=kind, message=message, request_id=number)).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("X-Request-Id", number),
            *HEADERS.items(),
        ]
        self.set_close_on_finish()
        self.content_length = len(packed)
        self.write(packed)


class Channel(HTTPChannel):  # type: ignore[misc] # waitress has no types
    """A connection. ``is_known`` once it has brought valid credentials."""

    error_task_class = _EnvelopeTask

    def __init__(self, door: Door, server: Any, *arguments: Any, **options: Any) -> None:
        self.door = door
        self.is_known = False
        super().__init__(server, *arguments, **options)
        if len(server.active_channels) > _MOST_CONNECTIONS:
            self._make_room([one for one in server.active_channels.values() if one is not self])

    def parser_class(self, adj: Any) -> _Request:
        """Make the parser of the next request."""
        return _Request(adj, self)

    @property
    def is_working(self) -> bool:
        """Whether a thread works on a request of this connection, or will."""
        return any(request.error is None for request in list(self.requests))

    def _make_room(self, others: list[Channel]) -> None:
        idle = [one for one in others if not (one.is_working or one.will_close)]
        if idle:
            chosen = min(idle, key=lambda one: (one.is_known, one.last_activity))
            chosen.will_close = True


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc] # waitress has no types
    """Gives requests to threads: ``/health`` and refusals have their own."""

    def __init__(self, n_threads: int) -> None:
        super().__init__()
        self.set_thread_count(n_threads)
        self._quick = ThreadedTaskDispatcher()
        self._quick.set_thread_count(_HEALTH_THREADS)
        self._late: list[tuple[float, int, Channel]] = []
        self._late_lock = threading.Lock()
        self._numbers = itertools.count()

    def add_task(self, channel: Channel) -> None:
        """Have a connection's next request answered."""
        request = channel.requests[0]
        if isinstance(request.error, Refusal) and request.error.delay_s:
            due = time.monotonic() + request.error.delay_s
            with self._late_lock:
                heapq.heappush(self._late, (due, next(self._numbers), channel))
        elif request.error is not None or request.path == HEALTH:
            self._quick.add_task(channel)
        else:
            super().add_task(channel)

    def release(self, until: float | None = None) -> None:
        """Have those answered whose delay is over, or would be at ``until``."""
        now = time.monotonic() if until is None else until
        with self._late_lock:
            while self._late and self._late[0][0] <= now:
                self._quick.add_task(heapq.heappop(self._late)[2])

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:
        """End all threads."""
        self._quick.shutdown(cancel_pending, timeout)
        return bool(super().shutdown(cancel_pending, timeout))
