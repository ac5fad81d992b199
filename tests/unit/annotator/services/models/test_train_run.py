from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from factories import TINY_HEADS, make_document
from run_world import OWNER, claim, do, ingest, make_note, read, versions
from sqlalchemy import func, select
from tiny_bert import TINY_SCHEMA

from annotator.domain import Document, Entity, Relation
from annotator.errors import CheckpointError, NotFoundError, TrainingError
from annotator.jobs.training import execute_run
from annotator.model import checkpoint_sha256
from annotator.services.inference import compute
from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import IntakeRules
from annotator.services.models import snapshot, train
from annotator.services.models.registry import previous_version, promote_version
from annotator.services.models.snapshot import RunPlan, plan_run
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project, audit
from annotator.store.run_log import read_run_log
from annotator.store.runs import Run, cancel_run
from annotator.store.versions import ModelVersion, active_version
from annotator.text import Alignment, align_document
from annotator.training import TrainingSettings
from annotator.training import train as real_train
from db.tables import ModelVersionRow, SnapshotRow

# ------------------------------------------------------------------ the plan

EMPTYING = IntakeRules(replace=True, empty_is_gold=True)


def plan(database: Database, project: Project, run: Run) -> RunPlan:
    return plan_run(database, project.id, run)


def test_a_run_sees_the_same_sentences_whatever_is_labelled_meanwhile(
    database: Database, gold: Project
) -> None:
    run = claim(database, gold)
    first = plan(database, gold, run)
    ingest(database, gold, 40, 45)
    changed = replace(make_note(0), entities=(), relations=())
    ingest_documents(
        database, gold.id, [changed], role="gold", holdout_share=0.0, seed=1, rules=EMPTYING
    )

    again = plan(database, gold, read(database, run))

    assert again == first
    assert (len(first.train), len(first.holdout), first.n_left_out) == (24, 8, 0)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(SnapshotRow)) == 1


def test_without_gold_to_learn_from_there_is_no_plan(database: Database, project: Project) -> None:
    ingest(database, project, 0, 3, "holdout")

    with pytest.raises(TrainingError, match="annotator import --as gold"):
        plan(database, project, claim(database, project))


def test_others_write_while_gold_is_aligned(
    database: Database, gold: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_written = []

    def write_and_align(document: Document, **options: Any) -> Alignment:
        with database.write() as session:  # locked out until a timeout, if the plan held the lock
            audit(session, gold.id, actor="somebody else", action="label")
        n_written.append(1)
        return align_document(document, **options)

    monkeypatch.setattr(snapshot, "align_document", write_and_align)

    assert len(plan(database, gold, claim(database, gold)).train) == 24
    assert len(n_written) == 32  # each unit once


def test_labels_that_do_not_fit_are_counted(database: Database, project: Project) -> None:
    document = make_document(
        entities=(
            Entity(id="a", type="Drug", start=0, end=7),
            Entity(id="b", type="Effect", start=3, end=7),
            Entity(id="c", type="Effect", start=17, end=21),
        ),
        relations=(Relation(type=None, head="a", tail="c"),),
    )
    ingest_documents(
        database, project.id, [document, make_note(0)], role="gold", holdout_share=0.0, seed=1
    )

    found = plan(database, project, claim(database, project))

    assert found.left_out == {"off_token_edge": 1, "relation_unlabelled": 1}
    assert (found.n_labels, found.n_left_out, found.n_incomplete) == (7, 2, 1)


# ------------------------------------------------------------------ a run


def test_a_run_ends_with_a_version_in_use(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    run = claim(database, gold)
    progress: list[Mapping[str, Any]] = []

    version, decision = do(database, gold, run, settings, progress.append)

    folder = Path(version.folder)
    assert (version.state, decision.promote) == ("active", True)
    assert decision.provisional  # 8 sentences are few
    assert version.sha256 == checkpoint_sha256(folder)
    assert version.name == f"ward-{run.id}-{version.sha256[:8]}" == folder.name
    scores = version.metrics["holdout"]
    assert (scores["n_sentences"], scores["learnt_from"]["sentences"]) == (8, 24)
    assert scores["joint"]["low"] <= scores["joint"]["f1"] <= scores["joint"]["high"]
    ended = read(database, run)
    assert (ended.state, ended.reasons) == ("succeeded", decision.reasons)
    assert [p["phase"] for p in progress] == ["prepare", *["train"] * 4, "evaluate"]
    assert {"README.md", "metrics.json", "run.json"} <= {f.name for f in folder.iterdir()}
    assert sorted(f.name for f in settings.models_folder.iterdir()) == [version.name]


def test_without_a_hold_out_the_first_version_is_provisional(
    database: Database, project: Project, settings: Settings, trained: list[Path]
) -> None:
    ingest(database, project, 0, 6)

    version, decision = do(database, project, claim(database, project), settings)

    assert (version.state, version.provisional, decision.provisional) == ("active", True, True)


@pytest.fixture(scope="module")
def good_checkpoint(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows the hold-out by heart."""
    folder = tmp_path_factory.mktemp("good") / "model"
    notes = [align_document(make_note(i)) for i in range(24, 32)]
    real_train(
        [sentence for note in notes for sentence in note.sentences],
        schema=TINY_SCHEMA,
        encoder=str(tiny_encoder),
        settings=TrainingSettings(
            epochs=45, min_steps=0, batch_size=8, encoder_lr=1e-3, head_lr=3e-3
        ),
        folder=folder,
        options=TINY_HEADS,
    )
    return folder


@pytest.fixture
def good_version(
    database: Database,
    gold: Project,
    settings: Settings,
    good_checkpoint: Path,
    trained: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> ModelVersion:
    """A version in use that the usual training of these tests does not reach."""
    with monkeypatch.context() as patch:
        patch.setattr(
            compute.training,
            "train",
            lambda *_a, folder, **_o: shutil.copytree(good_checkpoint, folder),
        )
        version, _ = do(database, gold, claim(database, gold), settings)
    assert version.metrics["holdout"]["ner"]["micro"]["f1"] > 90
    return version


def test_a_worse_candidate_is_held_and_the_version_in_use_stays(
    database: Database,
    gold: Project,
    settings: Settings,
    good_version: ModelVersion,
    trained: list[Path],
) -> None:
    run = claim(database, gold)

    version, decision = do(database, gold, run, settings)

    assert not decision.promote
    assert versions(database, gold) == {version.name: "held", good_version.name: "active"}
    assert read(database, run).state == "held"
    assert "joint F1" in read(database, run).reasons[0]

    # By force, or by hand, it is used all the same; and there is a way back.
    forced = claim(database, gold, force=True)
    other, _ = do(database, gold, forced, settings)
    assert (other.state, read(database, forced).state) == ("active", "succeeded")
    assert read(database, forced).reasons[-1] == "promoted by force"
    with database.read() as session:
        assert previous_version(session, gold.id).name == good_version.name
    back = promote_version(database, gold.id, good_version.name, actor="me")
    assert back.state == "active"
    assert versions(database, gold)[other.name] == "retired"


def test_a_damaged_version_cannot_be_promoted(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    version, _ = do(database, gold, claim(database, gold), settings)
    weights = next(Path(version.folder).glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")

    with pytest.raises(CheckpointError, match=version.name):
        promote_version(database, gold.id, version.name, actor="me")

    with pytest.raises(NotFoundError), database.read() as session:
        previous_version(session, gold.id)


def test_a_damaged_version_in_use_can_be_replaced_by_force(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    version, _ = do(database, gold, claim(database, gold), settings)
    weights = next(Path(version.folder).glob("*.safetensors"))
    weights.write_bytes(b"damaged")
    run = claim(database, gold)
    with pytest.raises(CheckpointError):
        do(database, gold, run, settings)

    assert execute_run(settings, database, run.id, owner=OWNER) == "failed"
    assert (
        execute_run(settings, database, claim(database, gold, force=True).id, owner=OWNER)
        == "succeeded"
    )


def test_the_gate_compares_with_the_version_in_use_at_the_end(
    database: Database,
    gold: Project,
    settings: Settings,
    good_version: ModelVersion,
    trained: list[Path],
) -> None:
    bad, _ = do(database, gold, claim(database, gold, force=True), settings)
    run = claim(database, gold)

    def go_back(progress: Mapping[str, Any]) -> None:
        promote = {
            "evaluate": lambda: promote_version(database, gold.id, good_version.name, actor="me")
        }
        promote.get(progress["phase"], lambda: None)()

    _, decision = do(database, gold, run, settings, go_back)

    assert bad.state == "active"
    assert not decision.promote


def test_a_candidate_is_judged_with_those_of_its_recipe_that_were_held(
    database: Database,
    gold: Project,
    settings: Settings,
    good_version: ModelVersion,
    trained: list[Path],
) -> None:
    said = [
        do(database, gold, claim(database, gold, **options), settings)[1].reasons[0]
        for options in ({}, {}, {"settings": {"encoder": "another"}})
    ]
    promote_version(database, gold.id, good_version.name, actor="me")
    said.append(do(database, gold, claim(database, gold), settings)[1].reasons[0])

    together = ["the 1 model held before it" in reason for reason in said]
    assert together == [False, True, False, False]


@pytest.mark.parametrize("wins", [True, False], ids=["the run", "the other"])
def test_what_comes_into_use_while_a_run_ends_stays_unless_it_is_beaten(
    database: Database,
    gold: Project,
    settings: Settings,
    good_version: ModelVersion,
    trained: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    *,
    wins: bool,
) -> None:
    # Both have been decided on when somebody goes back: the run against the version then in use.
    bad, _ = do(database, gold, claim(database, gold, force=True), settings)
    before, after = (good_version, bad) if wins else (bad, good_version)
    promote_version(database, gold.id, before.name, actor="me")
    run, keep, kept = claim(database, gold), train._keep, []

    def keep_and_switch(*arguments: Any) -> Any:
        kept.append(arguments)
        if len(kept) == 1:
            promote_version(database, gold.id, after.name, actor="me")
        return keep(*arguments)

    monkeypatch.setattr(train, "_keep", keep_and_switch)

    version, decision = do(database, gold, run, settings)

    # The new model is as bad as ``bad``, of which it may take the place.
    assert (version.state, decision.promote) == (("active", True) if wins else ("held", False))
    assert versions(database, gold)[after.name] == ("retired" if wins else "active")
    assert read(database, run).reasons == decision.reasons
    card = (Path(version.folder) / "README.md").read_text(encoding="utf-8")
    assert f"- Gate: {'; '.join(decision.reasons)}" in card
    with database.read() as session:
        noted = [e.detail for e in read_run_log(session, run.id) if e.kind == "compared anew"]
    assert noted == [{"against": after.name}]


# ------------------------------------------------------------------ what the worker's child does


def test_executing_a_run_ends_its_row(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    run = claim(database, gold)

    assert execute_run(settings, database, run.id, owner=OWNER) == "succeeded"

    with database.read() as session:
        assert active_version(session, gold.id).run_id == run.id


def test_a_run_that_cannot_learn_fails_with_the_reason(
    database: Database, project: Project, settings: Settings
) -> None:
    run = claim(database, project)

    assert execute_run(settings, database, run.id, owner=OWNER) == "failed"
    assert "no gold to learn from" in str(read(database, run).error)


def test_a_cancelled_run_stops_and_leaves_the_version_in_use(
    database: Database, gold: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claim(database, gold)
    with database.write() as session:
        cancel_run(session, run.id)

    def train_long(*_arguments: Any, on_progress: Any, **_options: Any) -> None:
        import time

        from annotator.training import TrainingProgress

        while True:
            time.sleep(0.05)
            on_progress(
                TrainingProgress(
                    epoch=1,
                    n_epochs=1,
                    step=1,
                    n_steps=9,
                    loss=0.5,
                    words_per_s=1.0,
                    remaining_s=1.0,
                )
            )

    monkeypatch.setattr(compute.training, "train", train_long)

    assert execute_run(settings, database, run.id, owner=OWNER) == "cancelled"
    assert read(database, run).state == "cancelled"
    assert versions(database, gold) == {}


def test_the_registry_holds_one_row_a_version(
    database: Database, gold: Project, settings: Settings, trained: list[Path]
) -> None:
    for _ in range(2):
        do(database, gold, claim(database, gold, force=True), settings)

    with database.read() as session:
        rows = session.execute(select(ModelVersionRow.run_id, ModelVersionRow.state)).all()
    assert sorted((run, state) for run, state in rows) == [(1, "retired"), (2, "active")]
