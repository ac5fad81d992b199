"""Whatever comes in whatever order: near-duplicates are on one side of the split."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from factories import make_document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import IntakeRules
from annotator.store.database import Database
from annotator.store.documents import iter_documents
from annotator.store.groups import group_of
from annotator.store.projects import Project, ensure_project
from annotator.text.duplicates import similarity, sketch_texts

BASES = [" ".join(f"{letter}{i}" for i in range(60)) for letter in "abcd"]

# Edits so small that the bands of two versions of a text agree but for once in a million pairs.
edits = st.tuples(
    st.integers(0, 3), st.sampled_from(["", "x"]), st.integers(0, 59), st.sampled_from(["", "y z"])
)
batches = st.lists(
    st.tuples(
        st.sampled_from(["gold", "pool", "holdout"]),
        st.sampled_from([0.0, 0.5, 0.9]),
        st.lists(edits, min_size=1, max_size=5),
        st.sampled_from([None, "g1", "g2"]),
    ),
    min_size=1,
    max_size=5,
)


def write_note(edit: tuple[int, str, int, str]) -> str:
    base, word, place, end = edit
    words = BASES[base].split()
    if word:
        words[0 if place < 30 else 59] = f"{word}{place}"
    return " ".join([*words, end]).strip()


@contextmanager
def fresh_project(empty: Path) -> Iterator[tuple[Database, Project]]:
    with TemporaryDirectory() as folder:
        file = shutil.copy(empty, Path(folder) / "a.db")
        database = Database(f"sqlite:///{file}")
        with database.write() as session:
            project = ensure_project(session, name="p", unit="sentence")
        yield database, project
        database.close()


@given(imports=batches)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_near_duplicates_and_sources_never_straddle(
    empty_sqlite: Path,
    imports: list[tuple[str, float, list[tuple[int, str, int, str]], str | None]],
) -> None:
    with fresh_project(empty_sqlite) as (database, project):
        for i, (role, share, notes, group) in enumerate(imports):
            documents = [
                make_document(f"{i}-{j}", write_note(edit), **({"group": group} if group else {}))
                for j, edit in enumerate(notes)
            ]
            ingest_documents(
                database,
                project.id,
                documents,
                role=role,
                holdout_share=share,
                seed=i,
                rules=IntakeRules(empty_is_gold=True),
            )
        with database.read() as session:
            stored = list(iter_documents(session, project.id))
            groups = {d.id: group_of(session, d.id) for d in stored}

    sketches = dict(
        zip((d.id for d in stored), sketch_texts([d.text for d in stored]), strict=True)
    )
    by_group: dict[str | None, set[str]] = {}
    for document in stored:
        by_group.setdefault(groups[document.id], set()).add(document.split)
    alike = [
        (groups[a.id], groups[b.id])
        for a, b in combinations(stored, 2)
        if similarity(sketches[a.id], sketches[b.id]) >= 0.9
        or (a.meta.get("group") or a.name) == (b.meta.get("group") or b.name)
    ]
    assert all(one == other for one, other in alike)
    assert {len(found) for found in by_group.values()} == {1}
