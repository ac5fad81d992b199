"""The notebook runs from top to bottom, in a kernel of its own, away from the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def notebook(repository: Path) -> Any:
    """The notebook as it is committed."""
    found = nbformat.read(repository / "notebooks" / "attention.ipynb", as_version=4)
    nbformat.validate(found)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, where the kernel also keeps what is its own."""
    variables = ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR", "TMPDIR")
    for variable in variables:
        (tmp_path / variable).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / variable))
    return tmp_path


def execute(notebook: Any, folder: Path) -> list[Any]:
    """Run all cells; the first that fails raises. Returns their outputs."""
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=240, resources=resources)
    client.execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def check_outputs(outputs: list[Any], folder: Path) -> None:
    pictures = [one for one in outputs if "image/png" in one.get("data", {})]
    said = "".join(one["text"] for one in outputs if one["output_type"] == "stream")
    assert len(pictures) == 5
    assert "previous" in said
    assert len(list((folder / "TMPDIR").glob("attention-*/attention.html"))) == 1


def test_the_notebook_runs_with_a_tiny_encoder(
    notebook: Any, folder: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTENTION_ENCODER", str(tiny_encoder))

    outputs = execute(notebook, folder)

    check_outputs(outputs, folder)


def test_the_notebook_runs_as_it_is(
    notebook: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ATTENTION_ENCODER", raising=False)

    outputs = execute(notebook, folder)

    check_outputs(outputs, folder)


def test_the_committed_notebook_holds_no_outputs(notebook: Any) -> None:
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert {cell.execution_count for cell in cells} == {None}
