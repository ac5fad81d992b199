from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest

from annotator.text import split_sentences

HELDOUT = json.loads(Path(__file__).with_name("heldout_sentences.json").read_text(encoding="utf-8"))


def _pieces(text: str) -> list[str]:
    return [text[s.start : s.end] for s in split_sentences(text)]


def _gold(marked: str) -> tuple[str, set[int]]:
    """The text without marks, and the offsets at which all sentences but the last end."""
    pieces = marked.split("‖")
    ends, position = set(), 0
    for piece in pieces[:-1]:
        ends.add(position + len(piece.rstrip()))
        position += len(piece)
    return "".join(pieces), ends


def _boundary_f1(cases: list[tuple[str, set[int]]]) -> float:
    n_right = n_gold = n_found = 0
    for text, gold in cases:
        found = {sentence.end for sentence in split_sentences(text)[:-1]}
        n_right += len(gold & found)
        n_gold += len(gold)
        n_found += len(found)
    return 2 * n_right / (n_gold + n_found)


@pytest.mark.parametrize("part", ["dev", "test"])
def test_boundaries_of_held_out_clinical_text_are_found(part: str) -> None:
    cases = [_gold(marked) for marked in HELDOUT[part]]

    assert _boundary_f1(cases) >= 0.93


def test_boundaries_of_joined_pubmed_sentences_are_found(shared_data: Path) -> None:
    abstracts: dict[str, list[str]] = defaultdict(list)
    for line in (shared_data / "ade" / "ADE-NEG.txt").read_text(encoding="utf-8").splitlines():
        pmid, _, sentence = line.split(" ", 2)
        abstracts[pmid].extend([sentence.strip() + "‖ "] * sentence.strip().endswith((".", "?")))
    cases = [_gold("".join(sentences).rstrip("‖ ")) for sentences in abstracts.values()]

    assert _boundary_f1(cases) >= 0.99


def test_line_ends_of_windows_are_not_boundaries_inside_a_sentence() -> None:
    assert _pieces("He was\r\nadmitted.\r\n\r\nShe was not.") == [
        "He was\r\nadmitted.",
        "She was not.",
    ]


def test_heading_line_stands_alone() -> None:
    assert _pieces("Medications:\nAspirin daily\n- Lasix") == [
        "Medications:",
        "Aspirin daily",
        "- Lasix",
    ]


def test_note_all_in_capitals_is_not_taken_for_headings() -> None:
    assert _pieces("PT WAS ADMITTED WITH CHEST\nPAIN AND FEVER") == [
        "PT WAS ADMITTED WITH CHEST\nPAIN AND FEVER"
    ]


@pytest.mark.parametrize("text", ["", " \n\t ", "\u00a0"], ids=["empty", "blank", "nbsp"])
def test_text_without_visible_characters_has_no_sentence(text: str) -> None:
    assert split_sentences(text) == ()


@pytest.mark.parametrize(
    "piece", [".", "a. ", "(a. ", ".) ", "1. ", "A. ", "Ab: x\n", "x\n", "?!", "( "], ids=repr
)
def test_time_is_linear_in_the_length(piece: str) -> None:
    text = piece * (300_000 // len(piece))

    started = time.perf_counter()
    split_sentences(text)

    assert time.perf_counter() - started < 5
