from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from backend_world import World
from command_line import GOLD, Run, write_lines


@pytest.fixture
def two(annotator: Run, world: World, tmp_path: Path) -> Path:
    """A project whose versions tiny-1 and tiny-2 are the same, with a hold-out of one document."""
    home = world.settings.home
    shutil.copytree(home / "models" / "tiny-1", home / "models" / "tiny-2")
    world.register("tiny-2", folder=home / "models" / "tiny-2")
    gold = write_lines(tmp_path / "held.jsonl", GOLD)
    assert annotator("import", "jsonl", gold, "--as", "holdout", "--home", home).code == 0
    return home


@pytest.mark.parametrize("words", [("models",), ("models", "list")], ids=" ".join)
def test_versions_are_listed_newest_first(
    annotator: Run, two: Path, words: tuple[str, ...]
) -> None:
    value = json.loads(annotator(*words, "--home", two, "--json").out)

    assert [version["name"] for version in value["versions"]] == ["tiny-2", "tiny-1"]


def test_a_version_is_shown_with_where_it_comes_from(annotator: Run, two: Path) -> None:
    value = json.loads(annotator("models", "show", "--home", two, "--json").out)
    shown = annotator("models", "show", "tiny-1", "--home", two).out

    assert (value["name"], value["snapshot"]["n_sentences"]) == ("tiny-2", 8)
    assert f"SHA-256   {value['sha256']}" in shown
    assert "The card is gone." in shown


def test_a_comparison_names_places_and_shows_text_only_when_asked(
    annotator: Run, two: Path
) -> None:
    value = json.loads(annotator("models", "diff", "tiny-1", "tiny-2", "--home", two, "--json").out)
    plain = annotator("models", "diff", "tiny-1", "--home", two).out

    assert (value["probability"], value["would_promote"]) == (1.0, True)
    assert (value["fixed"], value["broken"]) == ([], [])
    assert "tiny-1 -> tiny-2" in plain
    assert annotator("models", "diff", "tiny-1", "--text", "--json", "--home", two).code == 2


@pytest.mark.parametrize("words", [("models", "rollback"), ("rollback",)], ids=" ".join)
def test_going_back_by_either_name_is_noted_as_such(
    annotator: Run, two: Path, words: tuple[str, ...]
) -> None:
    back = json.loads(annotator(*words, "--home", two, "--json").out)
    again = annotator(*words, "--home", two)

    audit = json.loads(annotator("models", "show", "tiny-1", "--home", two, "--json").out)["audit"]
    assert back["name"] == "tiny-1"
    assert (again.code, "no earlier version" in again.err) == (1, True)
    assert [line["action"] for line in audit] == ["rollback"]
    assert [line["detail"]["version"] for line in audit] == ["tiny-1"]


def test_an_option_in_the_wrong_place_is_wrong_use(annotator: Run, two: Path) -> None:
    outcome = annotator("models", "--home", two, "show")

    assert outcome.code == 2
    assert "write options after show" in outcome.err


def test_an_evaluation_scores_text_that_was_learnt_from_apart(
    annotator: Run, two: Path, tmp_path: Path
) -> None:
    odd = {**GOLD, "id": "odd", "text": GOLD["text"] + " Alas."}
    odd["entities"] = [{**GOLD["entities"][0], "type": "Durg"}]
    odd["relations"] = []
    file = write_lines(tmp_path / "test.jsonl", GOLD, odd)

    value = json.loads(annotator("evaluate", "--data", file, "--home", two, "--json").out)
    told = annotator("evaluate", "--data", file, "--home", two).out
    empty = annotator("evaluate", "--data", write_lines(tmp_path / "e.jsonl"), "--home", two)

    parts = [value[part]["n_sentences"] for part in ("seen", "unseen")]
    assert sum(parts) == value["n_sentences"]
    assert "does not know: Durg (1 labels, like the known Drug)" in told
    assert (empty.code, empty.out) == (1, "")
