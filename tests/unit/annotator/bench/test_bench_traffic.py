from __future__ import annotations

import pytest
from factories import TINY_CONFIG_XML

from annotator.bench.traffic import Traffic
from annotator.services.sync.annotations import SplitRule
from annotator.services.sync.webhooks import process_inbox, receive_event
from annotator.store.database import Database
from annotator.store.gold import gold_units
from annotator.store.projects import Project, StudioLink, get_project, link_studio
from annotator.studio.config import parse_config

TEXTS = ("Aspirin caused a rash.", "Yes", "the the end")


@pytest.fixture
def traffic() -> Traffic:
    """Events over three texts."""
    return Traffic(TEXTS, config_xml=TINY_CONFIG_XML, config=parse_config(TINY_CONFIG_XML))


@pytest.mark.parametrize("text", TEXTS)
def test_drawn_regions_are_the_first_words(traffic: Traffic, text: str) -> None:
    values = [region["value"] for region in traffic.regions(text)]

    assert [text[v["start"] : v["end"]] for v in values] == text.split()[:2]
    assert [v["text"] for v in values] == text.split()[:2]


def test_every_event_is_an_annotation_that_the_worker_can_take(
    database: Database, project: Project, traffic: Traffic
) -> None:
    with database.write() as session:
        link_studio(
            session, project.id, StudioLink(host="http://x", key="1.1767225600", project_id=1)
        )
        new = [receive_event(session, traffic.event(i)) for i in range(7)]
        again = receive_event(session, traffic.event(3))

        linked = get_project(session, project.name)

    report = process_inbox(database, linked, split=SplitRule(holdout_share=0, seed=1))

    assert (new, again) == ([True] * 7, False)
    assert (report.n_done, report.n_failed, report.n_ignored) == (7, 0, 0)
    with database.read() as session:
        assert len(list(gold_units(session, project.id))) == 7
