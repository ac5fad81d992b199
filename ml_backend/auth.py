"""Who gets in: basic auth for Label Studio, basic auth or a bearer token for people and scripts."""

from __future__ import annotations

import base64
import binascii
import hmac

from flask import Flask, request

from annotator.errors import ConfigError
from annotator.settings import Settings
from ml_backend.errors import refuse

__all__ = ["Credentials", "install_auth"]

_CHALLENGE = 'Basic realm="annotator", charset="UTF-8"'
_STUDIO = "studio"
_OPEN = "studio.health"


class Credentials:
    """The credentials of a backend, compared as bytes and in constant time.

    Raises:
        ConfigError: if there is no password: a backend without one would serve anybody.
    """

    def __init__(self, settings: Settings) -> None:
        password = settings.backend_password.get_secret_value()
        if not password:
            raise ConfigError(
                "backend_password is empty, so anybody could read the documents; annotator init "
                "makes one, or set ANNOTATOR_BACKEND_PASSWORD"
            )
        self._pairs = _encodings(f"{settings.backend_user}:{password}")
        self._tokens = _encodings(settings.api_token.get_secret_value())

    def is_basic(self, header: str) -> bool:
        """Return whether an Authorization header is valid basic auth."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            pair = base64.b64decode(value.strip().encode("latin-1"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            return False
        return _is_one_of(pair, self._pairs)

    def is_bearer(self, header: str) -> bool:
        """Return whether an Authorization header holds a valid bearer token."""
        scheme, _, value = header.partition(" ")
        if scheme.lower() != "bearer":
            return False
        return _is_one_of(value.strip().encode("latin-1", "replace"), self._tokens)


def _encodings(secret: str) -> list[bytes]:
    # requests (Label Studio) sends basic auth as Latin-1, browsers as UTF-8.
    if not secret:
        return []
    found = [secret.encode("utf-8", "surrogatepass")]
    if not secret.isascii() and all(ord(c) < 256 for c in secret):
        found.append(secret.encode("latin-1"))
    return found


def _is_one_of(given: bytes, expected: list[bytes]) -> bool:
    # A sum compares with all of them, so the time does not depend on which one matches.
    return sum(hmac.compare_digest(given, one) for one in expected) > 0


def install_auth(app: Flask, credentials: Credentials) -> None:
    """Require credentials everywhere but at ``/health``, on unknown paths too."""

    @app.before_request
    def check() -> None:
        if request.endpoint == _OPEN:
            return
        header = request.headers.get("Authorization", "")
        if credentials.is_basic(header):
            return
        if request.blueprint != _STUDIO and credentials.is_bearer(header):
            return
        refuse(
            401,
            "unauthorized",
            "wrong or missing credentials: the user and password are backend_user and "
            "backend_password of the project",
            headers={"WWW-Authenticate": _CHALLENGE},
        )
