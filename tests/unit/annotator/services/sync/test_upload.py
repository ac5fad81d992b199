"""Tasks made of the pool: what each shows around its sentence, what that costs, and kills."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from factories import RASH, TINY_CONFIG_XML, make_document, make_task
from fake_studio import FakeStudio
from tiny_bert import TINY_SCHEMA

from annotator.domain import Document
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync import upload
from annotator.services.sync.upload import has_uploads, upload_tasks
from annotator.store.database import Database
from annotator.store.documents import find_document, sentences_of
from annotator.store.projects import Project, save_schema
from annotator.store.tasks import count_tasks, mark_tasks_deleted
from annotator.text import tokenize

TEXTS = (
    "Aspirin induced severe rash . Fever was treated with ibuprofen .",
    "The patient lives in paris. Nausea and pain after aspirin.",
)


@pytest.fixture
def pool(database: Database, linked: Project) -> Project:
    """Two documents of two sentences each, to be labelled."""
    documents = [make_document(f"d{i}", text) for i, text in enumerate(TEXTS)]
    ingest_documents(database, linked.id, documents, role="pool", holdout_share=0.0, seed=1)
    return linked


def import_note(database: Database, project: Project, *, n_sentences: int, own: bool) -> str:
    """Import one document of lines; some are a letter long. ``own``: with tokens of its own."""
    lines = [
        f"{'Seven' if i % 3 else 'No'} drugs were taken on day {i} ." if i % 5 else "x ."
        for i in range(n_sentences)
    ]
    text = "\n".join(lines)
    starts = [sum(len(line) + 1 for line in lines[:i]) for i in range(n_sentences)] if own else []
    meta = {
        "tokens": [[token.start, token.end] for token in tokenize(text)],
        "sentences": [[s, s + len(line)] for s, line in zip(starts, lines, strict=False)],
    }
    name = f"long-{n_sentences}"
    document = Document(id=name, text=text, meta=meta if own else {})
    ingest_documents(database, project.id, [document], role="pool", holdout_share=0.0, seed=1)
    return name


@pytest.mark.parametrize("own", [False, True], ids=["ours", "own tokens"])
def test_a_task_shows_what_stands_around_its_sentence(
    database: Database, linked: Project, studio: FakeStudio, *, own: bool
) -> None:
    name = import_note(database, linked, n_sentences=1_020, own=own)

    upload_tasks(database, linked, studio)

    with database.read() as session:
        found = find_document(session, linked.id, name)
        assert found is not None
        stored = sentences_of(session, found.id)
    texts = [s.text for s in stored]
    assert [s.tokens for s in stored] == [
        tuple((t.start, t.end) for t in tokenize(text)) if own else None for text in texts
    ]
    tasks = [task for sent in studio.imports for task in sent]
    assert [task["text"] for task in tasks] == texts
    shown = [(str(task["before"]), str(task["after"])) for task in tasks]
    for i, (before, after) in enumerate(shown):
        whole = " ".join(texts[:i]), " ".join(texts[i + 1 :])
        assert whole[0].endswith(before.removeprefix("… "))
        assert whole[1].startswith(after.removesuffix(" …"))
        assert (len(before) > 280) is (len(whole[0]) > 280)
        assert (len(after) > 280) is (len(whole[1]) > 280)
        assert before.startswith("… ") is (len(whole[0]) > 300)
        assert after.endswith(" …") is (len(whole[1]) > 300)


def test_eight_times_the_sentences_cost_about_eight_times_as_much(
    database: Database, linked: Project, studio: FakeStudio
) -> None:
    upload_tasks(database, linked, studio)  # what is made once is made
    costs = []
    for n_sentences in (100, 800):
        import_note(database, linked, n_sentences=n_sentences, own=True)
        costs.append(count_calls(lambda: upload_tasks(database, linked, studio)))

    assert costs[1] < 16 * costs[0]  # 64 times if each sentence looked at all others


def count_calls(work: Callable[[], object]) -> int:
    """Return how many functions were called: a cost that no other work on the machine changes."""
    n_calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal n_calls
        n_calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return n_calls


def test_each_sentence_becomes_a_task_with_its_place_and_context(
    database: Database, pool: Project, studio: FakeStudio
) -> None:
    assert upload_tasks(database, pool, studio) == 4

    assert studio.imports[0][1] == {
        "text": "Fever was treated with ibuprofen .",
        "doc_id": "d0",
        "sent_start": 30,
        "before": "Aspirin induced severe rash .",
        "after": "",
    }
    assert upload_tasks(database, pool, studio) == 0
    assert not has_uploads(database, pool)


def test_the_text_goes_into_the_field_of_the_configuration(
    database: Database, linked: Project, studio: FakeStudio
) -> None:

    xml = TINY_CONFIG_XML.replace("$text", "$note")
    with database.write() as session:
        save_schema(session, linked.id, TINY_SCHEMA, config_xml=xml)
    ingest_documents(database, linked.id, [make_document()], role="pool", holdout_share=0.0, seed=1)

    upload_tasks(database, linked, studio)

    assert studio.imports[0][0]["note"] == RASH


def test_an_upload_that_was_killed_is_not_repeated_after_a_pull(
    database: Database, pool: Project, studio: FakeStudio, pull: Any, monkeypatch: Any
) -> None:
    def die(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(upload, "add_tasks", die)
        with pytest.raises(KeyboardInterrupt):
            upload_tasks(database, pool, studio)
    pull()

    assert upload_tasks(database, pool, studio) == 0
    with database.read() as session:
        assert count_tasks(session, pool.id)["open"] == 4


def test_ids_that_label_studio_gives_again_do_not_confuse_an_upload(
    database: Database, pool: Project, studio: FakeStudio
) -> None:
    old = studio.add_task(text="An old task.")
    with database.write() as session:
        make_task(session, pool.id, studio_id=old, document=make_document("old", "An old task."))
        studio.delete_task(old)
        mark_tasks_deleted(session, pool.id, [old])

    assert upload_tasks(database, pool, studio) == 4
    assert [len(one) for one in studio.imports] == [1, 4]
