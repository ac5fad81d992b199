"""What a refused or failed call to Label Studio means and what to do about it. Pure.

Answers of the server may quote tasks, so only fields known to hold no document text are repeated.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import Any, Final

__all__ = [
    "WEBHOOK_REFUSED",
    "explain_no_connection",
    "explain_refusal",
    "explain_tls",
    "is_private_address",
    "without_credentials",
]

#: What to do if the backend's private address is allowed and that of its webhook is not.
WEBHOOK_REFUSED: Final = (
    "Label Studio may call the backend at its private address, but not send it events: "
    "ML_BLOCK_LOCAL_IP=false is there, SSRF_PROTECTION_ENABLED=false is missing; start it with both"
)

_QUOTABLE_FIELDS: Final = frozenset({"label_config", "model_version", "sampling", "title"})
_MAX_QUOTED: Final = 300
_PRIVATE_ADDRESS: Final = (
    "Label Studio does not call private or loopback addresses by default: start it with "
    "ML_BLOCK_LOCAL_IP=false (for backends) and SSRF_PROTECTION_ENABLED=false (for webhooks)"
)
_KNOWN: Final = (
    ("reserved network address", _PRIVATE_ADDRESS),
    (
        "legacy token authentication has been disabled",
        "legacy tokens are switched off in this organization: use a personal access token "
        "(Account & Settings), or have an administrator switch legacy tokens on",
    ),
    (
        "authentication parameters",
        "the backend asks for a user and a password and refused the ones given: "
        "use those of this annotator project",
    ),
    (
        "can't connect to ml backend",
        "Label Studio cannot reach the backend: is it running, and is the address right as seen "
        "from the machine or container of Label Studio?",
    ),
    (
        "enter a valid url",
        "Label Studio does not accept that address: the host must be an IP address, localhost, or "
        "a name with a dot in it (--backend-url)",
    ),
    (
        'invalid "task" field',
        "a task is not in this project any more: synchronise, then send the others again",
    ),
)
_BY_STATUS: Final = {
    400: "the request was refused as invalid",
    401: "the token was refused: make a new one under Account & Settings and connect again",
    403: "this user may not do that: use the token of an owner or administrator",
    404: "there is no such thing: check the address of Label Studio and the id",
    413: "the request is too large: send smaller chunks",
    429: "too many requests: wait and try again",
}


def explain_no_connection(error: BaseException) -> str:
    """Explain why nothing could be sent: a failed TLS handshake, or no server there."""
    silence = f"no connection ({type(error).__name__}); is Label Studio running there?"
    return explain_tls(error) or silence


def explain_tls(error: BaseException) -> str | None:
    """Explain a TLS failure that no retry can mend; None if it is something else."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                "its TLS certificate is not trusted here; if a CA of your own signed it, name the "
                "file of that CA in the variable SSL_CERT_FILE"
            )
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return "no TLS is spoken there; if it is Label Studio, its address begins with http://"
        cause = cause.__cause__ or cause.__context__
    return None


def explain_refusal(status: int, body: Any) -> str:
    """Explain an HTTP status of 400 or above, and what to do about it, in one line.

    ``body`` is the decoded JSON answer, None if it was not JSON. The line holds no document text,
    token or password.
    """
    said = " ".join(_strings(body)).lower()
    for sign, remedy in _KNOWN:
        if sign in said:
            return f"HTTP {status}; {remedy}"
    if status >= 500:
        return f"HTTP {status}; Label Studio failed by itself: its log says why"
    return f"HTTP {status}; {_BY_STATUS.get(status, 'the request was refused')}{_fields(body)}"


def is_private_address(explained: str) -> bool:
    """Return whether ``explain_refusal`` said that a private address may not be called."""
    return _PRIVATE_ADDRESS in explained


def without_credentials(url: str) -> str:
    """Return ``url`` without user, password, query and fragment."""
    return re.sub(r"(?<=://)[^/?#]*@", "", url).split("?", 1)[0].split("#", 1)[0]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []


def _fields(body: Any) -> str:
    errors = body.get("validation_errors") if isinstance(body, Mapping) else None
    if not isinstance(errors, Mapping):
        return ""
    parts = []
    for name, reasons in errors.items():
        if name in _QUOTABLE_FIELDS:
            parts.append(f"{name} ({' '.join(_strings(reasons))[:_MAX_QUOTED]})")
        elif name != "non_field_errors":
            parts.append(str(name)[:60])
    return f": {', '.join(parts)}" if parts else ""
