from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from factories import TINY_HEADS
from run_world import register
from tiny_bert import EIGHT_SENTENCES, TINY_SCHEMA

from annotator.domain import Document, Entity, Relation, TaggedSentence
from annotator.errors import CheckpointError, InputError, NotFoundError
from annotator.services.intake.documents import ingest_documents
from annotator.services.intake.roles import IntakeRules
from annotator.services.models import scores
from annotator.services.models.card import describe_version
from annotator.services.models.evaluate import Comparison, compare_versions
from annotator.services.models.registry import roll_back
from annotator.settings import Settings
from annotator.store.database import Database
from annotator.store.projects import Project
from annotator.training import TrainingSettings, train

EMPTYING = IntakeRules(replace=True, empty_is_gold=True)


def to_document(sentence: TaggedSentence) -> Document:
    text = " ".join(sentence.words)
    return Document(
        id=sentence.id,
        text=text,
        entities=tuple(
            Entity(
                id=f"e{i}",
                type=e.type,
                start=sentence.tokens[e.first].start,
                end=sentence.tokens[e.last].end,
            )
            for i, e in enumerate(sentence.entities)
        ),
        relations=tuple(
            Relation(type=r.type, head=f"e{r.head}", tail=f"e{r.tail}") for r in sentence.relations
        ),
        meta={"tokens": [[t.start, t.end] for t in sentence.tokens]},
    )


@pytest.fixture(scope="module")
def poor_model(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has seen two of the eight sentences, once."""
    folder = tmp_path_factory.mktemp("poor") / "model"
    train(
        EIGHT_SENTENCES[:2],
        schema=TINY_SCHEMA,
        encoder=str(tiny_encoder),
        settings=TrainingSettings(epochs=1, min_steps=0),
        folder=folder,
        options=TINY_HEADS,
    )
    return folder


@pytest.fixture
def two(
    database: Database, project: Project, settings: Settings, tiny_model: Path, poor_model: Path
) -> Project:
    """A project with eight hold-out sentences and the versions ``poor`` and ``good``."""
    for name, source in (("poor", poor_model), ("good", tiny_model)):
        shutil.copytree(source, settings.models_folder / name)
        register(database, project, settings.models_folder / name, name=name)
    ingest_documents(
        database,
        project.id,
        [to_document(sentence) for sentence in EIGHT_SENTENCES],
        role="holdout",
        holdout_share=0.0,
        seed=1,
    )
    return project


def compare_them(database: Database, project: Project, a: str, b: str) -> Comparison:
    return compare_versions(database, project.id, a=a, b=b, device="cpu", seed=1, least=1)


def test_the_sentences_that_flipped_are_named_by_place(database: Database, two: Project) -> None:
    better = compare_them(database, two, "poor", "good")
    worse = compare_them(database, two, "good", "poor")

    value = better.to_json()
    assert {"document": "s1", "start": 0} in value["fixed"]
    assert (value["broken"], better.promotes) == ([], True)
    assert [s.document for s in worse.broken] == [s.document for s in better.fixed]
    assert not worse.promotes
    assert "aspirin" not in json.dumps(value)
    assert "aspirin induced severe rash ." in {s.text for s in better.fixed}


def test_changes_by_type_have_their_counts(database: Database, two: Project) -> None:
    value = compare_them(database, two, "poor", "good").to_json()

    drug = value["ner"]["types"]["Drug"]
    assert drug["n"] == 5
    assert drug["b"]["tp"] == 5
    assert drug["f1_change"] == pytest.approx(drug["b"]["f1"] - drug["a"]["f1"], abs=1e-3)
    assert value["n_sentences"] == 8


def test_a_version_is_run_once_for_a_hold_out(
    database: Database, two: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare_them(database, two, "poor", "good").to_json()

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("it was run again")

    monkeypatch.setattr(scores, "load_version", refuse)
    assert compare_them(database, two, "poor", "good").to_json() == first

    document = Document(id="new", text="the patient lives in london and is well")
    ingest_documents(
        database, two.id, [document], role="holdout", holdout_share=0.0, seed=1, rules=EMPTYING
    )
    with pytest.raises(AssertionError, match="run again"):
        compare_them(database, two, "poor", "good")


def test_scores_that_were_cut_short_are_made_anew(
    database: Database, two: Project, settings: Settings
) -> None:
    first = compare_them(database, two, "poor", "good").to_json()
    for file in settings.models_folder.glob("*/scores-*.json"):
        file.write_text(file.read_text(encoding="utf-8")[:40], encoding="utf-8")

    assert compare_them(database, two, "poor", "good").to_json() == first


def test_without_a_hold_out_there_is_nothing_to_compare_on(
    database: Database, project: Project, settings: Settings, tiny_model: Path
) -> None:
    register(database, project, tiny_model, name="good")

    with pytest.raises(InputError, match="--as holdout"):
        compare_them(database, project, "good", "good")


def test_a_version_whose_files_are_gone_says_so(
    database: Database, two: Project, settings: Settings
) -> None:
    shutil.rmtree(settings.models_folder / "poor")

    with pytest.raises(CheckpointError, match="keep_versions"):
        compare_them(database, two, "poor", "good")
    with pytest.raises(NotFoundError, match="no model version 'nope'"):
        compare_them(database, two, "nope", "good")


def test_a_description_follows_a_version_to_its_labels_and_its_audit(
    database: Database, two: Project, settings: Settings
) -> None:
    roll_back(database, two.id, actor="somebody")

    found = describe_version(database, two.id, "poor")

    assert found["snapshot"]["entity_types"] == ["Drug", "Effect"]
    assert found["run_details"]["id"] == found["run"]
    assert found["files"]["size_bytes"] > 1000
    (line,) = found["audit"]
    assert (line["action"], line["actor"]) == ("rollback", "somebody")
    assert line["detail"]["before"] == "good"
    shutil.rmtree(settings.models_folder / "poor")
    assert describe_version(database, two.id, "poor")["files"] is None
