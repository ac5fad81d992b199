"""How each protocol cuts its corpus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from small_corpora import (
    make_record,
    write_ade,
    write_conll04,
    write_i2b2,
    write_miwa,
    write_notes,
)

from annotator.domain import TaggedSentence
from annotator.errors import ConfigError, InputError
from annotator.experiments import PROTOCOLS, Fold, Sources, read_benchmark

pytestmark = pytest.mark.slow


def ids(sentences: Iterable[TaggedSentence]) -> set[str]:
    return {sentence.id for sentence in sentences}


def groups(sentences: Iterable[TaggedSentence]) -> set[str]:
    return {sentence.group for sentence in sentences}


def shared_groups(fold: Fold) -> set[str]:
    parts = groups(fold.train), groups(fold.dev), groups(fold.test)
    return (parts[0] & parts[1]) | (parts[0] & parts[2]) | (parts[1] & parts[2])


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Forty documents of two sentences."""
    return write_notes(tmp_path / "notes.jsonl", *map(make_record, range(40)))


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    """The layout of ADE with 40 positive and 60 negative sentences of 20 abstracts."""
    return write_ade(tmp_path / "ade")


def test_conll04_is_cut_as_its_files_are(tmp_path: Path) -> None:
    benchmark = read_benchmark("conll04", Sources(data=write_conll04(tmp_path)))

    (fold,) = benchmark.folds
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (6, 2, 2)
    assert (benchmark.trains_on_dev, benchmark.headline) == (True, "micro")


def test_ade_folds_are_those_of_the_table_and_its_score_is_macro(ade: Path) -> None:
    benchmark = read_benchmark("ade", Sources(data=ade))

    assert [fold.index for fold in benchmark.folds] == list(range(10))
    assert ids(benchmark.folds[3].test) == {"ade-3#0", "ade-13#0", "ade-23#0", "ade-33#0"}
    assert benchmark.headline == "macro"


def test_an_ade_fold_is_trained_on_all_the_rest(ade: Path) -> None:
    fold = read_benchmark("ade", Sources(data=ade)).folds[3]

    assert len(fold.train) + len(fold.dev) == 36
    assert not (ids(fold.train) | ids(fold.dev)) & ids(fold.test)
    assert not groups(fold.train) & groups(fold.dev)


def test_an_ade_document_is_one_sentence_whatever_our_splitter_says(tmp_path: Path) -> None:
    (tmp_path / "DRUG-AE.rel").write_text(
        "".join(
            f"{n}|He had pain. Rash {n} after codeine .|Rash |13|18|codeine |26|34\n"
            for n in range(10)
        )
    )

    benchmark = read_benchmark("ade", Sources(data=tmp_path, group="pmid"))

    sentence = benchmark.folds[0].test[0]
    assert [(e.type, e.first, e.last) for e in sentence.entities] == [
        ("Adverse-Effect", 4, 4),
        ("Drug", 7, 7),
    ]
    assert not benchmark.left_out


def test_a_drug_inside_an_effect_is_left_out_with_its_relation_and_counted(ade: Path) -> None:
    benchmark = read_benchmark("ade", Sources(data=ade))

    (sentence,) = (s for s in benchmark.folds[0].test if s.id == "ade-0#0")
    assert [entity.type for entity in sentence.entities] == ["Adverse-Effect"]
    assert not sentence.relations
    assert benchmark.left_out == {"overlap": 1, "relation_lost_entity": 1}


def test_what_the_reader_could_not_use_is_counted(ade: Path) -> None:
    relations = ade / "DRUG-AE.rel"
    lines = relations.read_text().splitlines()
    relations.write_text("\n".join([*lines, lines[-1]]) + "\n")

    assert read_benchmark("ade", Sources(data=ade)).left_out["skipped_on_reading"] == 1


@pytest.mark.parametrize("name", ["ade", "ade-mixed"])
def test_ade_by_abstract_has_no_abstract_on_two_sides(ade: Path, name: str) -> None:
    group = {"ade": "pmid", "ade-mixed": "sentence"}[name]

    benchmark = read_benchmark(name, Sources(data=ade, group=group))  # type: ignore[arg-type]

    assert [shared_groups(fold) for fold in benchmark.folds] == [set()] * 10


def test_mixed_ade_has_as_many_sentences_without_labels(ade: Path) -> None:
    benchmark = read_benchmark("ade-mixed", Sources(data=ade))

    tested = [sentence for fold in benchmark.folds for sentence in fold.test]
    assert len(ids(tested)) == len(tested) == 80
    assert sum(not sentence.entities for sentence in tested) == 40


def test_mixed_ade_takes_more_negatives_where_asked(ade: Path) -> None:
    benchmark = read_benchmark("ade-mixed", Sources(data=ade, negatives=1.5))

    tested = [sentence for fold in benchmark.folds for sentence in fold.test]
    assert sum(not sentence.entities for sentence in tested) == 60


def test_negatives_are_refused_where_there_are_none(notes: Path) -> None:
    with pytest.raises(ConfigError, match="--negatives"):
        read_benchmark("ade", Sources(data=notes, negatives=3.0))


def test_cuts_are_the_same_every_time(ade: Path) -> None:
    first, again = (read_benchmark("ade-mixed", Sources(data=ade)) for _ in range(2))

    assert first == again


@pytest.mark.parametrize(
    ("name", "n_dev", "trains_on_dev"), [("i2b2", 8, False), ("ace04", 6, True)]
)
def test_five_folds_by_document(notes: Path, name: str, n_dev: int, trains_on_dev: bool) -> None:
    benchmark = read_benchmark(name, Sources(data=notes, format="jsonl"))

    sizes = [(len(f.train), len(f.dev), len(f.test)) for f in benchmark.folds]
    assert sizes == [(64 - n_dev, n_dev, 16)] * 5
    assert [shared_groups(fold) for fold in benchmark.folds] == [set()] * 5
    assert benchmark.trains_on_dev is trains_on_dev


def test_every_sentence_is_tested_once(notes: Path) -> None:
    benchmark = read_benchmark("ace04", Sources(data=notes, format="jsonl"))

    tested = [sentence.id for fold in benchmark.folds for sentence in fold.test]
    assert len(tested) == len(set(tested)) == 80


def test_i2b2_records_are_read_and_stay_whole(tmp_path: Path) -> None:
    benchmark = read_benchmark("i2b2", Sources(data=write_i2b2(tmp_path / "i2b2")))

    assert [(len(f.train), len(f.dev), len(f.test)) for f in benchmark.folds] == [(14, 2, 4)] * 5
    assert [shared_groups(fold) for fold in benchmark.folds] == [set()] * 5
    assert sum(len(s.relations) for fold in benchmark.folds for s in fold.test) == 10


def test_ace05_is_cut_as_its_folders_say(tmp_path: Path) -> None:
    benchmark = read_benchmark("ace05", Sources(data=write_miwa(tmp_path / "ace05")))

    (fold,) = benchmark.folds
    assert groups(fold.train) == {"doc-0", "doc-1", "doc-2", "doc-3"}
    assert (groups(fold.dev), groups(fold.test)) == ({"doc-4"}, {"doc-5", "doc-6"})
    assert not benchmark.trains_on_dev


def test_ace05_refuses_a_document_of_no_part(notes: Path) -> None:
    with pytest.raises(InputError, match="note-0#0: its document has no split train, dev or test"):
        read_benchmark("ace05", Sources(data=notes, format="jsonl"))


def test_files_of_the_users_own_keep_their_parts(tmp_path: Path, notes: Path) -> None:
    dev = write_notes(tmp_path / "dev.jsonl", make_record(50))
    test = write_notes(tmp_path / "test.jsonl", make_record(51), make_record(52))

    benchmark = read_benchmark("jsonl", Sources(train=notes, dev=dev, test=test))

    (fold,) = benchmark.folds
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (80, 2, 4)
    assert not benchmark.trains_on_dev


def test_without_a_dev_file_a_tenth_of_the_documents_stands_in(tmp_path: Path, notes: Path) -> None:
    test = write_notes(tmp_path / "test.jsonl", make_record(51))

    benchmark = read_benchmark("jsonl", Sources(train=notes, test=test))

    (fold,) = benchmark.folds
    assert (len(fold.train), len(fold.dev)) == (72, 8)
    assert not groups(fold.train) & groups(fold.dev)
    assert benchmark.trains_on_dev


def test_one_file_is_cut_into_folds_by_document(notes: Path) -> None:
    benchmark = read_benchmark("jsonl", Sources(data=notes, n_folds=4))

    assert [len(fold.test) for fold in benchmark.folds] == [20] * 4
    assert [shared_groups(fold) for fold in benchmark.folds] == [set()] * 4


@pytest.mark.parametrize(
    ("name", "sources", "reason"),
    [
        ("conll05", {"data": Path()}, "no experiment 'conll05'; there are conll04, ade"),
        ("conll04", {}, "conll04 needs --data DIR"),
        ("ade", {"data": Path(), "train": Path()}, "ade cuts its corpus itself"),
        ("conll04", {"data": Path(), "n_folds": 3}, "conll04 cuts its corpus itself"),
        ("conll04", {"data": Path(), "group": "pmid"}, "--group pmid is for ade"),
        ("ade", {"data": Path(), "format": "jsonl"}, "reads the files of the ADE corpus"),
        ("jsonl", {}, "jsonl needs --train FILE and --test FILE, or --data FILE and --folds K"),
        ("jsonl", {"data": Path()}, "or --data FILE and --folds K"),
        ("jsonl", {"train": Path("a")}, "jsonl needs --train FILE and --test FILE"),
        ("jsonl", {"data": Path("a"), "n_folds": 2, "test": Path("b")}, "jsonl needs --train"),
        ("jsonl", {"train": Path("a"), "test": Path("b"), "n_folds": 2}, "jsonl needs --train"),
    ],
)
def test_a_wrong_choice_of_files_is_refused(
    name: str, sources: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        read_benchmark(name, Sources(**sources))


def test_a_corpus_without_a_sentence_is_refused(tmp_path: Path) -> None:
    path = write_notes(tmp_path / "empty.jsonl", {"id": "a", "text": " "})

    with pytest.raises(InputError, match=r"empty\.jsonl holds no sentence"):
        read_benchmark("jsonl", Sources(data=path, n_folds=2))


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("orig_id\tpmid\n0\t1\n", r"spert_folds\.tsv:2"),
        ("orig_id\tfold\n0\t1\n0\t2\n", r"spert_folds\.tsv:3"),
        ("orig_id\tfold\n0\tx\n", r"spert_folds\.tsv:2"),
        ("orig_id\tfold\n0\t1\n", "no fold for sentence 1 "),
    ],
    ids=["no column", "twice", "no number", "absent"],
)
def test_a_damaged_table_of_folds_is_refused_with_its_place(
    ade: Path, table: str, place: str
) -> None:
    (ade / "spert_folds.tsv").write_text(table, encoding="utf-8")

    with pytest.raises(InputError, match=place):
        read_benchmark("ade", Sources(data=ade))


def test_every_protocol_says_what_it_does() -> None:
    assert all(read.__doc__ for read in PROTOCOLS.values())


# ---- the real corpora ----------------------------------------------------------------------


def test_conll04_has_the_sizes_of_the_papers(shared_data: Path) -> None:
    benchmark = read_benchmark("conll04", Sources(data=shared_data / "conll04"))

    (fold,) = benchmark.folds
    assert (len(fold.train), len(fold.dev), len(fold.test)) == (910, 243, 288)
    assert len(fold.train + fold.dev) == 1_153
    assert not (ids(fold.train) | ids(fold.dev)) & ids(fold.test)
    assert not benchmark.left_out


def test_ade_has_the_folds_of_spert(shared_data: Path) -> None:
    benchmark = read_benchmark("ade", Sources(data=shared_data / "ade"))

    assert [len(fold.test) for fold in benchmark.folds] == [427] * 9 + [429]
    assert {len(fold.train + fold.dev + fold.test) for fold in benchmark.folds} == {4_272}
    assert not any(ids(fold.train + fold.dev) & ids(fold.test) for fold in benchmark.folds)
    assert benchmark.left_out == {"overlap": 120, "relation_lost_entity": 194}


@pytest.mark.parametrize(("name", "n_sentences"), [("ade", 4_272), ("ade-mixed", 8_544)])
def test_ade_by_abstract_is_even_and_without_a_leak(
    shared_data: Path, name: str, n_sentences: int
) -> None:
    group = {"ade": "pmid", "ade-mixed": "sentence"}[name]

    benchmark = read_benchmark(
        name,
        Sources(data=shared_data / "ade", group=group),  # type: ignore[arg-type]
    )

    sizes = [len(fold.test) for fold in benchmark.folds]
    assert (sum(sizes), max(sizes) - min(sizes)) == (n_sentences, 1)
    assert [shared_groups(fold) for fold in benchmark.folds] == [set()] * 10
