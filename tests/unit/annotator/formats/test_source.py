from __future__ import annotations

from pathlib import Path

import pytest

from annotator.errors import InputError
from annotator.formats.source import find_files, split_named_by


def test_files_are_found_below_in_order_without_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "b" / ".git").mkdir(parents=True)
    (tmp_path / "b" / ".git" / "x.ann").touch()
    (tmp_path / "b" / "._y.ann").touch()
    (tmp_path / "b" / "z.ANN").touch()
    (tmp_path / "a.ann").touch()
    (tmp_path / "a.txt").touch()

    assert find_files(tmp_path, ".ann") == [tmp_path / "a.ann", tmp_path / "b" / "z.ANN"]


def test_folder_below_a_hidden_one_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / ".data").mkdir()
    (tmp_path / ".data" / "a.ann").touch()

    assert len(find_files(tmp_path / ".data", ".ann")) == 1


def test_folder_without_such_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ends in \.ann, \.txt"):
        find_files(tmp_path, ".ann", ".txt")


@pytest.mark.parametrize(
    ("root", "file", "split"),
    [
        ("c", "c/train/x", "train"),
        ("c", "c/dev/train/x", "train"),
        ("c/test", "c/test/x", "test"),
        ("c", "c/training/x", None),
        ("c", "c/x", None),
    ],
)
def test_split_is_that_of_the_innermost_folder_of_its_name(
    tmp_path: Path, root: str, file: str, split: str | None
) -> None:
    assert split_named_by(tmp_path / file, root=tmp_path / root) == split
