from __future__ import annotations

from annotator.studio.connection import (
    WEBHOOK_ACTIONS,
    backend_body,
    backends_at,
    webhook_body,
    webhooks_of,
)

URL = "http://host:9090/prefix"


def test_a_backend_body_repeats_url_project_and_credentials() -> None:
    body = backend_body(3, url=f"{URL}/", user="u", password="p", title="t")

    assert (body["url"], body["project"]) == (URL, 3)
    assert (body["auth_method"], body["basic_auth_user"], body["basic_auth_pass"]) == (
        "BASIC_AUTH",
        "u",
        "p",
    )


def test_a_webhook_body_carries_credentials_and_names_its_actions() -> None:
    body = webhook_body(3, backend_url=f"{URL}/", user="mluser", password="mlpass")

    assert body["url"] == f"{URL}/webhook"
    assert body["headers"] == {"Authorization": "Basic bWx1c2VyOm1scGFzcw=="}
    assert body["send_for_all_actions"] is False
    assert body["actions"] == list(WEBHOOK_ACTIONS)


def test_a_slash_at_the_end_makes_no_other_backend() -> None:
    rows = [{"id": 1, "url": f"{URL}/"}, {"id": 2, "url": "http://host:9090"}]

    assert [row["id"] for row in backends_at(rows, URL)] == [1]


def test_only_the_webhooks_of_the_backend_are_found() -> None:
    rows = [{"id": 1, "url": f"{URL}/webhook"}, {"id": 2, "url": URL}]

    assert [row["id"] for row in webhooks_of(rows, f"{URL}/")] == [1]
