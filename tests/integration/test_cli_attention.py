"""``annotator attention``: with a project's model, with a bare encoder, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from backend_world import World
from command_line import Outcome, Run, dump

pytestmark = pytest.mark.slow

SECRET = "Quillfeather took aspirin."
PATTERNS = ["next", "previous", "self", "last", "end"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is no project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run_alone(*arguments: object, stdin: str = "") -> Outcome:
    """Run the command line in a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "ANNOTATOR_HOME"}
    done = subprocess.run(
        [sys.executable, "-m", "annotator.cli.main", "attention", *map(str, arguments)],
        capture_output=True,
        input=stdin,
        text=True,
        timeout=100,
        check=False,
        env=environment,
    )
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


def test_a_bare_encoder_needs_no_project(tiny_encoder: Path, elsewhere: Path) -> None:
    outcome = run_alone(SECRET, "--encoder", tiny_encoder, "--out", "view.png")

    lines = outcome.out.splitlines()
    assert (outcome.code, outcome.err) == (0, "")
    assert lines[0] == "view.png: 4 words, 2 layers of 4 heads"
    assert [line.split()[0] for line in lines[1:]] == PATTERNS
    assert "Quillfeather" not in outcome.out
    assert [path.name for path in elsewhere.iterdir()] == ["view.png"]
    assert (elsewhere / "view.png").read_bytes().startswith(b"\x89PNG")


def test_the_active_model_is_shown_by_default(
    annotator: Run, world: World, elsewhere: Path
) -> None:
    outcome = annotator(
        *("attention", SECRET, "--out", "view.html", "--json", "--home", world.settings.home)
    )

    assert outcome.code == 0, outcome.err
    value = json.loads(outcome.out)
    assert (value["source"], value["n_words"], value["out"]) == ("tiny-1", 4, "view.html")
    assert list(value["patterns"]) == PATTERNS
    assert set(value["patterns"]["next"][0]) == {"layer", "head", "weight"}
    page = (elsewhere / "view.html").read_text(encoding="utf-8")
    assert "Attention of tiny-1" in page
    assert "Quillfeather → took" in page


def test_a_version_is_shown_by_name_and_training_has_changed_the_encoder(
    annotator: Run, world: World
) -> None:
    home = world.settings.home
    options = ("attention", SECRET, "--out", "view.html", "--json")

    trained = annotator(*options, "--model", "tiny-1", "--home", home)
    bare = annotator(*options, "--encoder", world.settings.encoder)

    weights = [json.loads(outcome.out)["patterns"] for outcome in (trained, bare)]
    assert weights[0] != weights[1]


@pytest.mark.parametrize(
    ("options", "n_maps", "n_scripts"),
    [
        pytest.param((), 5, 0, id="patterns"),
        pytest.param(("--layer", 2, "--head", 4), 1, 0, id="one head"),
        pytest.param(("--grid",), 1, 2, id="all heads"),
    ],
)
def test_what_is_shown_can_be_chosen(
    annotator: Run,
    tiny_encoder: Path,
    elsewhere: Path,
    options: tuple[object, ...],
    n_maps: int,
    n_scripts: int,
) -> None:
    outcome = annotator(
        *("attention", SECRET, "--encoder", tiny_encoder, "--out", "v.html"), *options
    )

    page = (elsewhere / "v.html").read_text(encoding="utf-8")
    assert outcome.code == 0, outcome.err
    assert page.count('<table class="map">') == n_maps
    assert page.count("<script") == n_scripts


def test_the_text_may_come_from_the_standard_input(tiny_encoder: Path, elsewhere: Path) -> None:
    outcome = run_alone("-", "--encoder", tiny_encoder, "--out", "view.html", stdin=SECRET)

    assert outcome.code == 0, outcome.err
    assert "Quillfeather" in (elsewhere / "view.html").read_text(encoding="utf-8")


def test_several_sentences_are_read_together_and_that_is_said(
    annotator: Run, tiny_encoder: Path
) -> None:
    text = "Quillfeather took aspirin. A rash came. It went."

    outcome = annotator("attention", text, "--encoder", tiny_encoder, "--out", "view.html")

    assert outcome.code == 0
    assert outcome.out.startswith("view.html: 11 words")
    assert outcome.err.startswith("the text has 3 sentences; they are read together")
    assert "Quillfeather" not in outcome.err


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        pytest.param(SECRET, ("--out", "view.pdf"), "name a .png or .html file", id="ending"),
        pytest.param(
            "Quillfeather " * 200, (), "200 words, more than the encoder reads at once", id="long"
        ),
        pytest.param("Quillfeather", (), "two are needed, the text has 1", id="one word"),
        pytest.param("", (), "two are needed, the text has 0", id="no word"),
        pytest.param(
            SECRET, ("--layer", 3, "--head", 1), "2 layers of 4 heads, counted from 1", id="head"
        ),
        pytest.param(SECRET, ("--out", "gone/view.html"), "check that the folder", id="folder"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line_without_the_text(
    annotator: Run,
    tiny_encoder: Path,
    elsewhere: Path,
    text: str,
    options: tuple[object, ...],
    reason: str,
) -> None:
    outcome = annotator(
        *("attention", text, "--encoder", tiny_encoder, "--out", "view.html"), *options
    )

    assert reason in outcome.error
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param(("--layer", 1), "--layer and --head go together", id="layer alone"),
        pytest.param(("--head", 1), "--layer and --head go together", id="head alone"),
        pytest.param(("--layer", 1, "--head", 1, "--grid"), "leave out", id="one and all"),
        pytest.param(("--model", "v", "--encoder", "e"), "exclude each other", id="two sources"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_use(
    annotator: Run, elsewhere: Path, options: tuple[object, ...], reason: str
) -> None:
    outcome = annotator("attention", SECRET, "--out", "view.html", *options)

    assert (outcome.code, outcome.out) == (2, "")
    assert reason in " ".join(outcome.err.replace("│", " ").split())
    assert "Quillfeather" not in outcome.err
    assert list(elsewhere.iterdir()) == []


def test_without_a_project_and_an_encoder_the_way_out_is_named(annotator: Run) -> None:
    assert "--home" in annotator("attention", SECRET, "--out", "view.html").error


def test_without_a_model_the_command_that_trains_one_is_named(annotator: Run, home: Path) -> None:
    before = dump(home)

    outcome = annotator("attention", SECRET, "--out", "view.html", "--home", home)

    assert "annotator retrain --wait" in outcome.error
    assert dump(home) == before


def test_damaged_weights_are_named_and_nothing_is_drawn(
    annotator: Run, world: World, elsewhere: Path
) -> None:
    weights = world.settings.home / "models" / "tiny-1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    outcome = annotator(*("attention", SECRET, "--out", "view.html", "--home", world.settings.home))

    assert "the files of tiny-1 in" in outcome.error
    assert list(elsewhere.iterdir()) == []
