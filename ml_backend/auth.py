"""Who gets in: basic auth for Label Studio, basic auth or a bearer token for people and scripts."""

from __future__ import annotations

import base64
import binascii
import hmac

from flask import Flask, g, request

from annotator.errors import ConfigError
from annotator.settings import Settings
from ml_backend.errors import refuse

__all__ = ["CHALLENGE", "WRONG", "Credentials", "install_auth"]

CHALLENGE = 'Basic realm="annotator", charset="UTF-8"'
WRONG = (
    "wrong or missing credentials: the user and password are backend_user and backend_password of "
    "the project"
)
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
    """Require credentials everywhere, on unknown paths too; at ``/health`` only right ones or none.

    ``g.is_known`` says whether a request brought any.
    """

    @app.before_request
    def check() -> None:
        header = request.headers.get("Authorization", "")
        is_api = request.blueprint != _STUDIO or request.endpoint == _OPEN
        g.is_known = credentials.is_basic(header) or (is_api and credentials.is_bearer(header))
        if not g.is_known and (header or request.endpoint != _OPEN):
            refuse(401, "unauthorized", WRONG, headers={"WWW-Authenticate": CHALLENGE})
