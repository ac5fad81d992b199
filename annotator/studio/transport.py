"""Calls to Label Studio through its SDK: tokens, retries, and errors in plain words.

The SDK is imported when a transport is made, and only here. It supplies the address, the
connection and the tokens (legacy and personal ones, the latter refreshed every five minutes);
answers are plain JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from annotator.errors import StudioError
from annotator.studio.refusals import (
    explain_no_connection,
    explain_refusal,
    explain_tls,
    without_credentials,
)

__all__ = ["StudioTransport"]

_TRIES: Final = 3
_MAX_WAIT_S: Final = 4.0


class _PassingError(StudioError):
    """A failure that may be gone at the next try."""


class StudioTransport:
    """One connection pool to one Label Studio as one user.

    Args:
        url: Address of Label Studio, with a path prefix if it has one.
        token: A personal access token or a legacy token.
        timeout_s: For a call that does not say otherwise.

    Raises:
        StudioError: if the address is not http(s), or the token is malformed or has expired.
    """

    def __init__(self, url: str, token: str, *, timeout_s: float) -> None:
        self.url = without_credentials(url).rstrip("/")
        if not self.url.startswith(("http://", "https://")):
            raise StudioError(
                "the address of Label Studio must start with http:// or https://, "
                "for example http://localhost:8080"
            )
        self._token = token.strip()
        if not self._token or not self._token.isascii() or not self._token.isprintable():
            raise StudioError(
                "there is no token, or it is damaged: copy it from Account & Settings and run "
                "annotator connect again"
            )
        self._timeout_s = timeout_s
        self._was_accepted = False
        import httpx  # the SDK's own HTTP library

        self._http = httpx.Client(timeout=timeout_s, follow_redirects=True)
        self._requests = self._authorize()

    def close(self) -> None:
        """Close the connections. May be called twice."""
        self._http.close()

    def error(self, attempt: str, reason: str) -> StudioError:
        """Return the error for a failed ``attempt``, for the caller to raise."""
        return StudioError(self._message(attempt, reason))

    def call(
        self,
        method: Literal["GET", "POST", "PATCH", "DELETE"],
        path: str,
        *,
        attempt: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        repeatable: bool | None = None,
        missing_ok: bool = False,
        timeout_s: float | None = None,
    ) -> Any:
        """Send one request and return the decoded JSON.

        ``path`` is below the address of Label Studio, without a leading slash. ``attempt`` says
        what is being tried, for the error: "read task 7"; it holds no document text.
        ``repeatable`` allows retries of a passing failure; None means that only a GET is retried.

        Returns:
            The answer; None if it has no content, or on a 404 with ``missing_ok``.

        Raises:
            StudioError: if Label Studio does not answer, refuses, or answers something else.
        """
        may_repeat = method == "GET" if repeatable is None else repeatable
        options = {"timeout_in_seconds": timeout_s} if timeout_s else None

        def once() -> Any:
            response = self._send(
                attempt,
                path=path,
                method=method,
                params=None if params is None else dict(params),
                json=body,
                request_options=options,
            )
            return self._decode(response, attempt, missing_ok=missing_ok)

        return _tries(_TRIES if may_repeat else 1)(once)

    def call_object(self, *arguments: Any, attempt: str, **options: Any) -> dict[str, Any]:
        """Do as ``call``, requiring a JSON object as the answer."""
        answer = self.call(*arguments, attempt=attempt, **options)
        if not isinstance(answer, dict):
            raise self.error(attempt, "the answer is not a JSON object; is this Label Studio?")
        return answer

    def call_list(self, *arguments: Any, attempt: str, **options: Any) -> list[dict[str, Any]]:
        """Do as ``call``, requiring a JSON list of objects as the answer."""
        answer = self.call(*arguments, attempt=attempt, **options)
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise self.error(attempt, "the answer is not a list of objects; is this Label Studio?")
        return answer

    def _authorize(self) -> Any:
        """Return the SDK's requester for this address and token."""
        from label_studio_sdk import LabelStudio
        from label_studio_sdk.core.api_error import ApiError

        try:
            sdk = LabelStudio(  # type: ignore[no-untyped-call]  # the SDK left it untyped
                base_url=f"{self.url}/",  # without the slash a path prefix is lost on refreshing
                api_key=self._token,
                httpx_client=self._http,
                timeout=self._timeout_s,
                max_retries=0,
            )
        except ApiError as error:
            reason = explain_refusal(error.status_code or 401, error.body)
            raise self.error("use the token", reason) from None
        return sdk._client_wrapper.httpx_client

    def _send(self, attempt: str, **request: Any) -> Any:
        """Send once; renew a personal token's access on a 401, as it may have ended early."""
        response = self._send_as_is(attempt, **request)
        if response.status_code == 401 and self._was_accepted:
            self._was_accepted = False
            self._requests = self._authorize()
            response = self._send_as_is(attempt, **request)
        self._was_accepted = self._was_accepted or response.status_code < 400
        return response

    def _send_as_is(self, attempt: str, **request: Any) -> Any:
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        # Drop the causes: they may quote the request.
        try:
            return self._requests.request(**request)
        except ApiError as error:  # the personal token could not be exchanged
            raise self._refusal(attempt, error.status_code or 401, error.body) from None
        except httpx.TimeoutException:
            raise _PassingError(self._message(attempt, "no answer in time; is it busy?")) from None
        except httpx.TransportError as error:
            kind = StudioError if explain_tls(error) else _PassingError
            raise kind(self._message(attempt, explain_no_connection(error))) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError) as error:
            reason = (
                f"the exchange failed ({type(error).__name__}); is this Label Studio's address?"
            )
            raise self.error(attempt, reason) from None

    def _decode(self, response: Any, attempt: str, *, missing_ok: bool) -> Any:
        status = response.status_code
        if status == 404 and missing_ok:
            return None
        try:
            body = response.json() if response.content else None
        except ValueError:
            body = None
            if status < 400:
                reason = "the answer is not JSON; is this Label Studio's address?"
                raise self.error(attempt, reason) from None
        if status >= 400:
            raise self._refusal(attempt, status, body)
        return body

    def _refusal(self, attempt: str, status: int, body: Any) -> StudioError:
        kind = _PassingError if status >= 500 or status == 429 else StudioError
        return kind(self._message(attempt, explain_refusal(status, body)), status=status)

    def _message(self, attempt: str, reason: str) -> str:
        return f"could not {attempt} at {self.url}: {reason}"


def _tries(n: int) -> Retrying:
    return Retrying(
        stop=stop_after_attempt(n),
        wait=wait_random_exponential(multiplier=0.3, max=_MAX_WAIT_S),
        retry=retry_if_exception_type(_PassingError),
        reraise=True,
    )
