from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path

import pytest

from annotator.text import split_sentences

# Invented notes in many styles, ``%%`` between them and ``%%%%`` between dev and test. The rules
# were written with an eye on dev alone.
FRAGMENTS = dict(
    zip(
        ("dev", "test"),
        Path(__file__)
        .with_name("clinical_fragments.txt")
        .read_text(encoding="utf-8")
        .split("\n%%%%\n"),
        strict=True,
    )
)
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


@pytest.mark.parametrize(("part", "least"), [("dev", 0.98), ("test", 0.92)])
def test_boundaries_of_notes_in_many_styles_are_found(part: str, least: float) -> None:
    cases = [_gold(marked.strip("\n")) for marked in FRAGMENTS[part].split("\n%%\n")]

    assert len(cases) > 100
    assert _boundary_f1(cases) >= least


@pytest.mark.parametrize(
    "marked",
    [
        "Past history:\n‖-gout\n‖-atrial fibrillation\n‖-anemia",
        "Tablets:\n‖1.Ramipril 5 mg\n‖2.Bisoprolol 2.5 mg\n‖3.Torasemide 10 mg",
        "#COPD\n‖- cont inhalers\n‖#GERD\n‖- pantoprazole\n‖#PVD\n‖- statin",
        "Takes at home:\n‖Ramipril 5 mg daily\n‖Bisoprolol 2.5 mg daily\n‖Insulin 8 units nightly",
        "She fell (on ice, see note.‖ No fracture.‖ She went home.‖ Follow up (clinic) in May.",
        "Read www.Cochrane.Org before.",
        "Registered at ClinicalTrials.Gov last year.",
        "He takes vit. D daily.",
        "Less Blautia.Roseburia was found.",
        "Her O2 sat. 91% on room air.",
        "Ask j.doe@Clinic.Net about it.",
        "He was referred to J. Smith for care.",
    ],
    ids=[
        *("dash", "number", "problems", "one drug a line", "unclosed bracket", "address"),
        *("registry", "vitamin", "taxon", "saturation", "mail", "name"),
    ],
)
def test_lists_are_cut_and_names_are_not(marked: str) -> None:
    text, ends = _gold(marked)

    assert {s.end for s in split_sentences(text)[:-1]} == ends


@pytest.mark.parametrize(
    "text",
    [
        "She was seen by\nDr. Meyer, who found\nnothing.",
        "He has a history of\nParkinson disease and was\nadmitted to the\nNeurology ward.",
    ],
    ids=["title", "proper nouns"],
)
def test_wrapped_prose_with_capitals_at_line_starts_is_not_a_list(text: str) -> None:
    assert _pieces(text) == [text]


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
