from __future__ import annotations

import ssl
from typing import Any

import pytest

from annotator.studio.refusals import (
    explain_no_connection,
    explain_refusal,
    without_credentials,
)


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (401, {"detail": "Invalid token."}, "make a new one"),
        (404, None, "check the address"),
        (413, "x", "smaller chunks"),
        (502, None, "its log says why"),
        (418, None, "HTTP 418; the request was refused"),
        (400, {"validation_errors": {"url": ["Enter a valid URL."]}}, "a name with a dot"),
        (400, {"validation_errors": {"title": ["Too short."]}}, "title (Too short.)"),
    ],
)
def test_a_status_comes_with_its_remedy(status: int, body: Any, remedy: str) -> None:
    assert remedy in explain_refusal(status, body)


def test_fields_that_may_quote_a_task_are_named_but_not_quoted() -> None:
    body = {
        "detail": "patient Mueller",
        "validation_errors": {"data": ["patient Mueller"], "non_field_errors": ["Mueller"]},
    }

    said = explain_refusal(400, body)

    assert "data" in said
    assert "Mueller" not in said


def test_credentials_and_query_leave_an_address() -> None:
    assert without_credentials("http://u:p@h:1/x?token=t#f") == "http://h:1/x"
    assert without_credentials("http://h/a@b") == "http://h/a@b"


def test_a_certificate_that_is_not_trusted_is_told_apart_from_nobody_there() -> None:
    wrapped = ConnectionError("as httpx wraps it")
    wrapped.__cause__ = ssl.SSLCertVerificationError("self-signed certificate")

    assert "SSL_CERT_FILE" in explain_no_connection(wrapped)
    assert "is Label Studio running" in explain_no_connection(ConnectionError())


def test_plain_http_at_an_https_address_is_told_with_what_to_change() -> None:
    answered = ssl.SSLError("wrong version number")
    answered.reason = "WRONG_VERSION_NUMBER"

    assert "begins with http://" in explain_no_connection(answered)
