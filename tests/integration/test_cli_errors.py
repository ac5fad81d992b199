"""What goes wrong at the command line: one line that helps, exit code 1, and nothing changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import GOLD, Outcome, Run, dump, write_lines

from annotator.formats import READERS

pytestmark = pytest.mark.slow

# A superuser may write everywhere; without this capability it is like anybody else.
AS_ANYBODY = ["setpriv", "--bounding-set", "-dac_override"] if os.geteuid() == 0 else []
needs_anybody = pytest.mark.skipif(
    AS_ANYBODY != [] and shutil.which("setpriv") is None,
    reason="a superuser may write everywhere, and setpriv is not installed",
)


# ---------------------------------------------------------------- files to import


def with_entity(**changes: Any) -> dict[str, Any]:
    return {**GOLD, "id": "b", "entities": [{**GOLD["entities"][0], **changes}], "relations": []}


@pytest.mark.parametrize(
    ("line", "place", "reason"),
    [
        pytest.param(
            json.dumps(GOLD)[:60],
            "bad.jsonl:2",
            "expected one complete object a line",
            id="truncated",
        ),
        pytest.param(
            json.dumps(with_entity(end=118)),
            "bad.jsonl:2: entity 0",
            "not a span of the text (length 41)",
            id="offset past the text",
        ),
        pytest.param(
            json.dumps(with_entity(text="ibuprofen")), "bad.jsonl:2", "e1", id="mention differs"
        ),
        pytest.param(
            json.dumps({**GOLD, "relations": [{"type": "causes", "head": "e1", "tail": "e9"}]}),
            "bad.jsonl:2",
            "it names entity e9, which was left out or absent",
            id="relation to a missing entity",
        ),
        pytest.param(
            json.dumps({"id": "b"}), "bad.jsonl:2", "the key text is missing", id="key missing"
        ),
    ],
)
def test_a_file_with_one_bad_line_is_refused_with_its_place_and_nothing_is_stored(
    annotator: Run, home: Path, tmp_path: Path, line: str, place: str, reason: str
) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", {"id": "good", "text": "A good line."})
    bad.write_text(bad.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    before = dump(home)

    outcome = annotator("import", "jsonl", bad, "--as", "gold", "--home", home)

    assert place.partition(": ")[0] in outcome.error
    assert reason in outcome.error
    assert dump(home) == before


def test_a_known_document_id_with_another_text_is_refused_and_the_old_text_stays(
    annotator: Run, home: Path, tmp_path: Path
) -> None:
    other = write_lines(tmp_path / "other.jsonl", {"id": "a", "text": "Another text."})
    before = dump(home)

    outcome = annotator("import", "jsonl", other, "--home", home)

    assert "document a" in outcome.error
    assert dump(home) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        pytest.param(("import", "jsonl", "gone.jsonl"), "gone.jsonl", id="no such file"),
        pytest.param(("import", "docx", "x"), ", ".join(READERS), id="reader"),
        pytest.param(
            ("export", "--format", "xml", "--out", "."), "bioes, brat, jsonl", id="writer"
        ),
    ],
)
def test_an_unknown_format_or_file_is_named_with_what_there_is(
    annotator: Run, home: Path, arguments: tuple[str, ...], named: str
) -> None:
    before = dump(home)

    outcome = annotator(*arguments, "--home", home)

    assert named in outcome.error
    assert dump(home) == before


def test_a_wrong_option_is_wrong_use_with_exit_code_2(annotator: Run, home: Path) -> None:
    outcome = annotator("import", "jsonl", "x", "--as", "silver", "--home", home)

    assert (outcome.code, outcome.out) == (2, "")
    assert "'gold', 'pool', 'holdout'" in outcome.err


# ---------------------------------------------------------------- project and settings


def test_a_folder_without_a_project_is_told_with_the_command_that_makes_one(
    annotator: Run, tmp_path: Path
) -> None:
    outcome = annotator("status", "--home", tmp_path)

    assert str(tmp_path) in outcome.error
    assert "annotator init" in outcome.error
    assert list(tmp_path.iterdir()) == []


def test_no_project_upward_of_here_is_told_too(
    annotator: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert "annotator init" in annotator("status").error


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param('epochs = "many"', "setting epochs in", id="wrong type"),
        pytest.param("holdout_share = 1.5", "setting holdout_share in", id="out of range"),
        pytest.param("epoch = 3", "there is no such setting", id="unknown key"),
        pytest.param("epochs =", "not valid TOML", id="no TOML"),
        pytest.param('database_url = "nosql://x"', "sqlite:///FILE", id="database of no kind"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file_or_remedy(
    annotator: Run, home: Path, line: str, reason: str
) -> None:
    before = dump(home)
    settings = home / "annotator.toml"
    settings.write_text(line + "\n", encoding="utf-8")

    outcome = annotator("status", "--home", home)

    assert reason in outcome.error
    assert dump(home) == before


def test_a_wrong_variable_is_named(
    annotator: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_BATCH_SIZE", "zero")

    assert "ANNOTATOR_BATCH_SIZE" in annotator("status", "--home", home).error


def test_a_database_newer_than_the_program_is_left_alone(annotator: Run, home: Path) -> None:
    connection = sqlite3.connect(home / "annotator.db")
    connection.execute("update alembic_version set version_num = '9999'")
    connection.commit()
    connection.close()
    before = dump(home)

    outcome = annotator("db", "upgrade", "--home", home)

    assert "migration 9999" in outcome.error
    assert "install that version or a later one" in outcome.error
    assert dump(home) == before


def test_a_file_that_is_no_database_is_left_alone(annotator: Run, home: Path) -> None:
    for leftover in home.glob("annotator.db*"):
        leftover.unlink()
    (home / "annotator.db").write_bytes(b"no database at all " * 300)

    outcome = annotator("status", "--home", home)

    assert "restore" in outcome.error
    assert (home / "annotator.db").read_bytes() == b"no database at all " * 300


def test_a_home_below_a_file_is_refused(annotator: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    outcome = annotator("init", "--home", tmp_path / "file" / "ward")

    assert f"{tmp_path}/file" in outcome.error
    assert "check that the folder" in outcome.error


def run_as_anybody(*arguments: object) -> Outcome:
    done = subprocess.run(
        [*AS_ANYBODY, sys.executable, "-m", "annotator.cli.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


@needs_anybody
def test_a_home_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)

    outcome = run_as_anybody("init", "--home", locked / "ward")

    assert f"Permission denied ({locked}/ward)" in outcome.error
    assert "check that the folder" in outcome.error


@needs_anybody
def test_an_import_into_a_project_that_may_not_be_written_changes_nothing(
    home: Path, tmp_path: Path
) -> None:
    more = write_lines(tmp_path / "more.jsonl", {"id": "b", "text": "More."})
    before = dump(home)
    for path in (*home.glob("annotator.db*"), home):
        path.chmod(0o555)

    outcome = run_as_anybody("import", "jsonl", more, "--home", home)

    assert "may be written" in outcome.error
    home.chmod(0o755)
    (home / "annotator.db").chmod(0o644)
    assert dump(home) == before


# ---------------------------------------------------------------- the edge itself


def test_the_traceback_is_shown_only_on_demand(annotator: Run, tmp_path: Path) -> None:
    outcome = annotator("--debug", "status", "--home", tmp_path)

    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("annotator: error: ")


def test_help_loads_no_torch() -> None:
    script = (
        "import sys\n"
        "from annotator.cli.main import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "sys.exit('torch' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, "retrain" in done.stdout) == (0, True), done.stderr
