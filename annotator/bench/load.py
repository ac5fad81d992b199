"""Requests at a steady rate, however long answers take, and how long each took."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Caller", "Latencies", "one_after_the_other", "steadily", "summarise"]

_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """Milliseconds of requests. ``n_failed``: not 2xx, or no answer; they count as requests."""

    n: int
    n_failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    def to_json(self) -> dict[str, float]:
        """Return plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Calls a backend as Label Studio does: a new connection for each request."""

    host: str
    port: int
    user: str
    password: str
    timeout_s: float = 100.0

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send one request; return status and body of the answer.

        Raises:
            OSError: if there is no answer.
        """
        pair = b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {type(error).__name__}") from error
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: Any = None) -> bool:
        """Send one request; return whether it succeeded."""
        packed = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            return 200 <= self.call(method, path, packed)[0] < 300
        except OSError:
            return False


def steadily(
    send: Callable[[int], bool], *, per_s: float, n: int, report: Callable[[int], None]
) -> Latencies:
    """Send ``n`` requests at fixed times and measure each from the time it was due.

    A late answer delays no other request, and a request that is sent late because others take long
    counts as slow (else a server that stops for a second would have one slow answer).

    Args:
        send: Sends the i-th request; returns whether it succeeded. Called from several threads.
        per_s: Requests per second.
        n: How many.
        report: Called with the number of requests answered, from several threads.
    """
    seconds: list[float] = [0.0] * n
    good: list[bool] = [False] * n
    numbers = itertools.count()
    answered = itertools.count(1)
    started = time.perf_counter() + 0.1

    def work() -> None:
        while (i := next(numbers)) < n:
            due = started + i / per_s
            time.sleep(max(0.0, due - time.perf_counter()))
            good[i] = send(i)
            seconds[i] = time.perf_counter() - due
            report(next(answered))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_THREADS, n))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return summarise(seconds, n_failed=good.count(False))


def one_after_the_other(
    send: Callable[[int], bool], *, n: int, report: Callable[[int], None]
) -> Latencies:
    """Send ``n`` requests, each after the answer to the one before."""
    seconds, n_failed = [], 0
    for i in range(n):
        started = time.perf_counter()
        n_failed += not send(i)
        seconds.append(time.perf_counter() - started)
        report(i + 1)
    return summarise(seconds, n_failed=n_failed)


def summarise(seconds: Sequence[float], *, n_failed: int = 0) -> Latencies:
    """Return quantiles by the nearest rank: p99 of 100 requests is the second slowest."""
    ordered = sorted(seconds)

    def quantile(q: float) -> float:
        return round(1e3 * ordered[max(0, math.ceil(q * len(ordered)) - 1)], 2)

    return Latencies(
        n=len(ordered),
        n_failed=n_failed,
        p50_ms=quantile(0.5),
        p99_ms=quantile(0.99),
        max_ms=quantile(1.0),
    )
