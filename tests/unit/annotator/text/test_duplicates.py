from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from annotator.text.duplicates import (
    MOST_A_BAND,
    N_BANDS,
    NEAR,
    DuplicateIndex,
    find_repeats,
    similarity,
    sketch_texts,
)

NOTE = (
    "On arrival BP 158/94, HR 104 irregular, SpO2 89 % on air. A chest X-ray shows bilateral "
    "pleural effusions. The picture is that of decompensated heart failure. Furosemide 40 mg was "
    "given twice daily, fluids were restricted and the weight was taken each morning."
)


def words_of(text: str) -> set[tuple[str, str, str]]:
    words = text.lower().split()
    return set(zip(words, words[1:], words[2:], strict=False))


def edited(text: str, rng: np.random.Generator, n_words: int) -> str:
    words = text.split()
    for i in rng.choice(len(words), size=n_words, replace=False):
        words[i] = f"x{rng.integers(10**6)}"
    return " ".join(words)


@pytest.mark.parametrize("n_words", [0, 1, 5, 12])
def test_similarity_is_the_share_of_common_runs_of_three_words(n_words: int) -> None:
    text = " ".join(f"w{i}" for i in range(60))
    other = edited(text, np.random.default_rng(n_words), n_words)
    one, two = sketch_texts([text, other])

    expected = len(words_of(text) & words_of(other)) / len(words_of(text) | words_of(other))

    assert similarity(one, two) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (NOTE, NOTE.upper()),
        (NOTE, NOTE.replace(". ", ".\r\n\r\n")),
        (NOTE, NOTE.replace(",", " ;")),
        (NOTE, NOTE.replace("158/94", "142/88")),
        (NOTE, "Ward 4, Tuesday. " + NOTE),
        ("患者は三日前から発熱と咳があり来院した。胸部写真で浸潤影を認めた。" * 2, None),
    ],
    ids=["case", "lines", "punctuation", "one value", "a header", "no spaces"],
)
def test_near_duplicates_are_found(text: str, other: str | None) -> None:
    index = DuplicateIndex()
    stored, new = sketch_texts([text, other or text + "以上。"])
    index.add("first", stored)

    assert list(index.find(new)) == ["first"]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("No complaints.", "No complaints."),
        ("", ""),
        ("  \n", "..."),
        ("History of present illness: none known today", "History of present illness: as above"),
        (NOTE, " ".join(reversed(NOTE.split()))),
    ],
    ids=["short", "empty", "blank", "one header", "other order"],
)
def test_texts_that_only_look_alike_are_no_near_duplicates(text: str, other: str) -> None:
    index = DuplicateIndex()
    stored, new = sketch_texts([text, other])
    index.add("first", stored)

    assert list(index.find(new)) == []


def test_however_many_texts_share_a_letterhead_few_are_looked_at_and_the_like_is_found() -> None:
    letterhead = " ".join(f"h{i}" for i in range(40))
    texts = [f"{letterhead} {' '.join(f'n{i}x{k}' for k in range(30))}" for i in range(600)]
    index = DuplicateIndex()
    for i, sketch in enumerate(sketch_texts(texts)):
        index.add(str(i), sketch)

    (again,) = sketch_texts([texts[3].replace("n3x29", "changed")])

    assert len(index.candidates(again)) <= N_BANDS * MOST_A_BAND
    assert list(index.find(again)) == ["3"]


def test_a_text_has_the_same_bands_in_any_company() -> None:
    texts = [NOTE, "No.", NOTE[40:], "", "one two three four five"]

    together = [sketch.bands for sketch in sketch_texts(texts)]
    alone = [sketch_texts([text])[0].bands for text in texts]

    assert together == alone
    assert [len(bands) for bands in together] == [8, 0, 8, 0, 8]


def test_bands_are_the_same_in_another_process() -> None:
    code = "import sys; from annotator.text.duplicates import sketch_texts as s;"
    code += "print(s([sys.argv[1]])[0].bands)"

    other = subprocess.run(
        [sys.executable, "-c", code, NOTE], capture_output=True, text=True, check=True
    )

    assert other.stdout.strip() == str(sketch_texts([NOTE])[0].bands)


@pytest.mark.parametrize(("n_words", "lowest"), [(3, 0.99), (5, 0.97)], ids=["J 0.86", "J 0.78"])
def test_candidates_are_found_as_often_as_the_bands_promise(n_words: int, lowest: float) -> None:
    rng = np.random.default_rng(5)
    texts = [" ".join(f"w{w}" for w in rng.integers(10**6, size=120)) for _ in range(400)]
    near = sketch_texts([edited(text, rng, n_words) for text in texts])

    pairs = zip(sketch_texts(texts), near, strict=True)
    found = [bool(set(a.bands) & set(b.bands)) for a, b in pairs if similarity(a, b) >= NEAR]

    assert len(found) > 390
    assert np.mean(found) >= lowest


def test_unrelated_texts_are_hardly_ever_candidates() -> None:
    rng = np.random.default_rng(6)
    texts = [" ".join(f"w{w}" for w in rng.integers(50, size=30)) for _ in range(400)]
    index = DuplicateIndex()
    sketches = sketch_texts(texts)

    n_candidates = 0
    for i, sketch in enumerate(sketches):
        n_candidates += len(index.candidates(sketch))
        index.add(str(i), sketch)

    assert n_candidates <= 8  # of 79,800 pairs


def test_a_text_repeats_what_is_known_or_stands_before_it() -> None:
    said = "The patient was given aspirin for a headache that began in {}"
    texts = [
        said.format("Tuesday"),
        "No fever .",
        "Fever .",
        "  no FEVER .",
        "New words only here .",
    ]

    found = find_repeats(texts, [said.format("Monday"), "Fever ."])

    assert found.tolist() == [True, False, True, True, False]
    assert find_repeats([], ["Fever ."]).tolist() == []
    assert find_repeats(["", ""], []).tolist() == [False, True]
