"""People of a real Label Studio, as its web pages know them: logged in, invited, with a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from annotator.studio.server import RunningStudio

__all__ = ["invited_person", "personal_token"]


@contextmanager
def _logged_in(studio: RunningStudio) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=studio.url, headers={"Referer": studio.url}, timeout=60) as session:
        _submit(session, "/user/login/", email=studio.username, password=studio.password)
        yield session


def _submit(session: httpx.Client, page: str, **form: str) -> None:
    session.get(page)
    sent = session.post(page, data={**form, "csrfmiddlewaretoken": session.cookies["csrftoken"]})
    assert sent.status_code == 302, f"{page} answered {sent.status_code}"


def personal_token(studio: RunningStudio) -> str:
    """Return a new personal access token of the server's user, who may have one."""
    with _logged_in(studio) as session:
        answer = session.post(
            "/api/token/", json={}, headers={"X-CSRFToken": session.cookies["csrftoken"]}
        )
        return str(answer.json()["token"])


@contextmanager
def invited_person(studio: RunningStudio, email: str) -> Iterator[httpx.Client]:
    """Sign up somebody with the organisation's invitation; yields what their browser sends by."""
    with _logged_in(studio) as owner:
        invitation = owner.get("/api/invite").json()["token"]
    with httpx.Client(base_url=studio.url, headers={"Referer": studio.url}, timeout=60) as session:
        page = f"/user/signup/?token={invitation}"
        _submit(session, page, email=email, password="a long password 7")
        session.headers["X-CSRFToken"] = session.cookies["csrftoken"]
        yield session
