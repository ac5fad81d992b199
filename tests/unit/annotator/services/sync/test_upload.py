"""What a task of a sentence shows around it, and what that costs in a long document."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from fake_studio import FakeStudio

from annotator.domain import Document
from annotator.services.intake.documents import ingest_documents
from annotator.services.sync.upload import upload_tasks
from annotator.store.database import Database
from annotator.store.documents import find_document, sentences_of
from annotator.store.projects import Project
from annotator.text import tokenize


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
