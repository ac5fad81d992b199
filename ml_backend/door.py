"""Who is let in, decided by a request's headers alone, before any of its body is kept."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from annotator.live_settings import LiveSettings
from annotator.logs import get_logger
from annotator.settings import Settings
from ml_backend.auth import CHALLENGE, WRONG, Credentials

__all__ = ["HEALTH", "Door", "Failures", "Hosts", "Refusal"]

HEALTH: Final = "/health"
_FREE: Final = 5  # wrong passwords of an address before its next ones are answered late
_SLOWEST_S: Final = 8.0
_FORGET_S: Final = 600.0
_MOST_ADDRESSES: Final = 1000
_log = get_logger("backend")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not read: HTTP status and reason, and our code and message.

    ``delay_s`` is how long the answer waits, without holding a thread.
    """

    code: int
    reason: str
    kind: str
    message: str
    delay_s: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


class Failures:
    """Counts wrong passwords by address, and says how late each is answered.

    Only wrong ones wait: whoever has the right password gets in at once, from any address.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def note(self, address: str) -> float:
        """Count one more, and return the seconds that its answer waits."""
        now = self._clock()
        n, last = self._seen.pop(address, (0, now))
        n = 1 if now - last > _FORGET_S else n + 1
        self._seen[address] = (n, now)
        if len(self._seen) > _MOST_ADDRESSES:
            self._seen.popitem(last=False)
        if n <= _FREE or n.bit_count() == 1:  # a flood is told in few lines
            _log.warning("login.refused", address=address, failures=n)
        return 0.0 if n <= _FREE else min(2.0 ** (n - _FREE - 1), _SLOWEST_S)


class Hosts:
    """The names that the backend answers to: a page of another name must not reach it.

    A browser can be made to take another site's name for ours (DNS rebinding), but no address in
    figures, so these are always ours.
    """

    def __init__(self, live: LiveSettings) -> None:
        self._live = live

    def allow(self, header: str) -> bool:
        """Return whether a Host header names us."""
        try:
            name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:
            return False
        if not name:
            return False
        if _is_address(name) or name == "localhost" or name.endswith(".localhost"):
            return True
        names = _names(self._live.current())  # annotator connect may have added one
        return name in names or "*" in names


def _names(settings: Settings) -> frozenset[str]:
    given = {settings.host, *settings.allowed_hosts}
    if settings.backend_url is not None:
        given.add(urlsplit(settings.backend_url).hostname or "")
    return frozenset(name.lower().rstrip(".") for name in given if name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Door:
    """Decides about requests by their headers; ``max_body`` is in bytes."""

    def __init__(self, credentials: Credentials, hosts: Hosts, *, max_body: int) -> None:
        self._credentials = credentials
        self._hosts = hosts
        self._max_body = max_body
        self._failures = Failures()

    def examine(
        self, path: str, headers: Mapping[str, str], *, has_body: bool, address: str
    ) -> Refusal | None:
        """Return why a request is refused, or None; header names are like ``CONTENT_LENGTH``."""
        host = headers.get("HOST")
        if path != HEALTH and host is not None and not self._hosts.allow(host):
            return Refusal(
                code=421,
                reason="Misdirected Request",
                kind="unknown_host",
                message="the backend is not known by this name; add it to the setting "
                "allowed_hosts, or set backend_url",
            )
        header = headers.get("AUTHORIZATION", "")
        if self._credentials.is_basic(header) or self._credentials.is_bearer(header):
            length = headers.get("CONTENT_LENGTH", "0")
            return self._too_large() if int(length) > self._max_body else None
        if header or path != HEALTH:
            return Refusal(
                code=401,
                reason="Unauthorized",
                kind="unauthorized",
                message=WRONG,
                delay_s=self._failures.note(address) if header else 0.0,
                headers=(("WWW-Authenticate", CHALLENGE),),
            )
        return self._too_large() if has_body else None

    def _too_large(self) -> Refusal:
        limit_mb = self._max_body / 1e6
        return Refusal(
            code=413,
            reason="Request Entity Too Large",
            kind="too_large",
            message=f"the request body is larger than max_body_mb = {limit_mb:g}",
        )
