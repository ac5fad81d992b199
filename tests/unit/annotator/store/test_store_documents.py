from __future__ import annotations

import pytest
from factories import NOON, RASH, at, make_annotation, make_document, make_task
from tiny_bert import TINY_SCHEMA

from annotator.errors import ConflictError, NotFoundError
from annotator.services.intake.documents import store_document
from annotator.store.annotations import record_annotation
from annotator.store.database import Database
from annotator.store.documents import (
    count_documents,
    count_sentences,
    documents_without_task,
    find_sentence,
    hash_text,
    iter_documents,
    sentences_of,
    sentences_without_task,
)
from annotator.store.projects import (
    Project,
    StudioLink,
    audit,
    current_config_xml,
    current_schema,
    ensure_project,
    get_project,
    link_studio,
    save_schema,
    set_pulled,
    unlink_studio,
)
from annotator.store.tasks import find_task, open_tasks

TWO = "Aspirin caused a rash. It faded after a day."
LINK = StudioLink(host="http://a", key="1.100", project_id=1)


def store(
    database: Database,
    project: Project,
    id: str = "note-1",
    text: str = RASH,
    *,
    split: str = "train",
) -> int:
    with database.write() as session:
        return store_document(session, project.id, make_document(id, text), split=split)[0]


def waiting(database: Database, project: Project) -> list[str]:
    with database.read() as session:
        return [s.text for s in sentences_without_task(session, project.id, limit=10)]


def test_storing_a_document_twice_keeps_the_first(database: Database, project: Project) -> None:
    store(database, project, split="train")
    store(database, project, split="holdout")

    with database.read() as session:
        assert count_documents(session, project.id) == {"train": 1, "holdout": 0}
        assert count_sentences(session, project.id) == 1


def test_a_name_holds_one_text(database: Database, project: Project) -> None:
    store(database, project)

    with pytest.raises(ConflictError, match="document note-1 is stored with another text"):
        store(database, project, text="Another text.")


def test_two_projects_may_use_one_name(database: Database, project: Project) -> None:
    with database.write() as session:
        other = ensure_project(session, name="other", unit="document")

    assert store(database, project) != store(database, other, text="Another text.")


def test_sentences_are_slices_of_their_document(database: Database, project: Project) -> None:
    document_id = store(database, project, text=TWO)

    with database.read() as session:
        found = sentences_of(session, document_id)
        second = find_sentence(session, project.id, document="note-1", start=23)

    assert [(s.ordinal, s.start, s.text, s.n_words) for s in found] == [
        (0, 0, "Aspirin caused a rash.", 5),
        (1, 23, "It faded after a day.", 6),
    ]
    assert second == found[1]
    assert second.text_hash == hash_text("It faded after a day.")


def test_tokens_that_a_document_brings_count_from_its_sentences(
    database: Database, project: Project
) -> None:
    tokens = [[0, 7], [8, 22], [23, 25], [26, 44]]
    with database.write() as session:
        document = make_document("own", TWO, tokens=tokens)
        document_id, _, _ = store_document(session, project.id, document, split="train")
        found = sentences_of(session, document_id)

    assert [s.tokens for s in found] == [((0, 7), (8, 22)), ((0, 2), (3, 21))]


def test_documents_stream_in_the_order_they_came(database: Database, project: Project) -> None:
    for name in "cab":
        store(database, project, name)

    with database.read() as session:
        assert [d.name for d in iter_documents(session, project.id)] == ["c", "a", "b"]


def test_sentences_without_a_task_wait_for_one(database: Database, project: Project) -> None:
    with database.write() as session:
        make_task(session, project.id, document=make_document(text=TWO))

    assert waiting(database, project) == ["It faded after a day."]


def test_sentences_of_a_task_that_shows_the_whole_text_do_not_wait(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        make_task(session, project.id, document=make_document(text=TWO), i_sentence=None)

    assert waiting(database, project) == []


@pytest.mark.parametrize(
    ("state", "left"),
    [("submitted", 1), ("skipped", 1), ("deleted", 2)],
    ids=["labelled", "skipped", "deleted"],
)
def test_sentences_that_somebody_decided_about_do_not_wait(
    database: Database, project: Project, state: str, left: int
) -> None:
    document_id = store(database, project, text=TWO)
    with database.write() as session:
        record_annotation(
            session,
            make_annotation(
                project.id, document_id, state=state, region=(0, 22), entities=(), relations=()
            ),
        )

    assert len(waiting(database, project)) == left


def test_documents_wait_until_they_are_a_task_or_labelled(
    database: Database, project: Project
) -> None:
    store(database, project, "waits")
    labelled = store(database, project, "labelled")
    with database.write() as session:
        make_task(session, project.id, document=make_document("shown"), i_sentence=None)
        record_annotation(
            session, make_annotation(project.id, labelled, source="import", external_id="x")
        )
        found = documents_without_task(session, project.id, limit=10)

    assert [d.name for d in found] == ["waits"]


# ------------------------------------------------------------------ projects


def test_a_project_is_made_once(database: Database, project: Project) -> None:
    with database.write() as session:
        again = ensure_project(session, name="ward", unit="document")

    assert again == project


def test_an_unknown_project_names_the_remedy(database: Database) -> None:
    with pytest.raises(NotFoundError, match="run annotator init"), database.read() as session:
        get_project(session, "nobody")


def test_a_schema_is_appended_only_if_it_differs(database: Database, project: Project) -> None:
    with database.write() as session:
        same = save_schema(session, project.id, TINY_SCHEMA)
        more = save_schema(session, project.id, TINY_SCHEMA.with_pairs([]), config_xml="<View/>")
        schema, xml = current_schema(session, project.id), current_config_xml(session, project.id)

    assert (same, more) == (False, True)
    assert (schema, xml) == (TINY_SCHEMA, "<View/>")


def test_another_configuration_makes_the_next_pull_look_at_everything(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        link_studio(session, project.id, LINK)
        set_pulled(session, project.id, started=NOON, until=at(0))
        save_schema(session, project.id, TINY_SCHEMA, config_xml="<View/>")
        found = get_project(session, "ward")

    assert found.pulled_until is None
    assert found.pulled_at is not None


def test_linking_again_to_the_same_project_keeps_what_was_pulled(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        link_studio(session, project.id, LINK)
        set_pulled(session, project.id, started=NOON, until=at(0))
        set_pulled(session, project.id, started=NOON, until=None)
        link_studio(session, project.id, LINK)
        found = get_project(session, "ward")

    assert (found.studio, found.pulled_until) == (LINK, at(0))


def test_tasks_survive_disconnecting_and_connecting_again(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        link_studio(session, project.id, LINK)
        task = make_task(session, project.id, studio_id=5)
        unlink_studio(session, project.id)
        assert get_project(session, "ward").studio is None
        link_studio(session, project.id, LINK)
        found = find_task(session, project.id, studio_id=5)

    assert (found.id, found.state) == (task, "open")


def test_another_label_studio_counts_from_one_without_touching_old_labels(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        link_studio(session, project.id, LINK)
        old = make_task(session, project.id, studio_id=1)
        shown = open_tasks(session, project.id)[0]
        record_annotation(session, make_annotation(project.id, shown.document_id, task_id=old))
        unlink_studio(session, project.id)

        link_studio(session, project.id, StudioLink(host="http://c", key="1.200", project_id=1))
        new = make_task(session, project.id, studio_id=1, document=make_document("other"))
        other = find_task(session, project.id, studio_id=1)
        is_news = record_annotation(
            session, make_annotation(project.id, other.document_id, task_id=new)
        )
        from annotator.store.gold import gold_units

        gold = [unit.source_document for unit in gold_units(session, project.id)]

    assert is_news
    assert (other.id, old) == (new, shown.id)
    assert gold == ["note-1", "other"]


def test_what_an_old_label_studio_never_got_labelled_is_shown_again(
    database: Database, project: Project
) -> None:
    with database.write() as session:
        link_studio(session, project.id, LINK)
        make_task(session, project.id)
        link_studio(session, project.id, StudioLink(host="http://c", key="1.200", project_id=1))

    assert waiting(database, project) == [RASH]


def test_the_audit_trail_takes_any_detail(database: Database, project: Project) -> None:
    with database.write() as session:
        audit(session, project.id, actor="me", action="test", n=1, names=["a"])
