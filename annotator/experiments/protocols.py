"""The protocols of the papers: which sentences are for training, for choices, and for scoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from annotator.domain import TaggedSentence
from annotator.errors import ConfigError, InputError
from annotator.experiments.corpora import Part, align, pin_sentence, read_fold_table, read_part
from annotator.experiments.split import grouped_folds, hold_out
from annotator.formats import read_corpus

__all__ = ["PROTOCOLS", "Benchmark", "Fold", "Headline", "Sources", "read_benchmark"]

Headline = Literal["micro", "macro"]

_DEV_SHARE = 0.1
_NEGATIVE_SEED = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a benchmark is read from and how it is split.

    Attributes:
        data: The corpus: a folder, or a file to split into folds.
        train: A file to train on, in place of ``data``.
        dev: A file to make choices on.
        test: A file to score.
        format: The reader's name; None is the protocol's own.
        n_folds: Number of folds where the protocol does not fix it.
        group: Whether folds are those of the papers, or drawn by abstract.
        negatives: Number of unlabelled sentences per labelled one, in ``ade-mixed``.
    """

    data: Path | None = None
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    format: str | None = None
    n_folds: int | None = None
    group: Literal["sentence", "pmid"] = "sentence"
    negatives: float = 1.0

    def __post_init__(self) -> None:
        if not self.negatives >= 0.0:
            raise ConfigError(f"--negatives must be at least 0, found {self.negatives}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One division of the sentences. ``index`` is None where there is only one."""

    index: int | None = None
    train: tuple[TaggedSentence, ...]
    dev: tuple[TaggedSentence, ...]
    test: tuple[TaggedSentence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A corpus, split as its protocol says.

    Attributes:
        name: The protocol's name.
        headline: The F1 that papers report: ``micro``, or ``macro`` over types.
        trains_on_dev: Whether the model scored on the test part is also trained on the dev part.
        left_out: Number of labels that are neither trained on nor scored, by kind.
    """

    name: str
    headline: Headline = "micro"
    folds: tuple[Fold, ...]
    trains_on_dev: bool = True
    left_out: Mapping[str, int] = field(default_factory=dict)


def read_benchmark(name: str, sources: Sources) -> Benchmark:
    """Read the corpus of the protocol ``name`` and split it.

    Raises:
        ConfigError: if there is no such protocol, or it lacks a file or an option.
        InputError: if a file cannot be read.
    """
    if name not in PROTOCOLS:
        raise ConfigError(f"no experiment {name!r}; there are {', '.join(PROTOCOLS)}")
    _refuse_what_is_not_read(name, sources)
    return PROTOCOLS[name](sources)


def _refuse_what_is_not_read(name: str, sources: Sources) -> None:
    """Refuse sources that the protocol would silently ignore."""
    files = (sources.train, sources.dev, sources.test, sources.n_folds)
    if name != "jsonl" and any(given is not None for given in files):
        raise ConfigError(
            f"the experiment {name} cuts its corpus itself: give --data DIR alone; --train, --dev, "
            "--test and a number of folds are for jsonl"
        )
    if name != "ade" and sources.group != "sentence":
        raise ConfigError(f"--group pmid is for ade; {name} never cuts through a document")
    if name != "ade-mixed" and sources.negatives != 1.0:
        raise ConfigError(f"--negatives is for ade-mixed; {name} has no sentences to add")
    if name in ("ade", "ade-mixed") and sources.format is not None:
        raise ConfigError(f"the experiment {name} reads the files of the ADE corpus; no --format")


def _folder(sources: Sources, name: str) -> Path:
    if sources.data is None:
        raise ConfigError(f"the experiment {name} needs --data DIR, the folder of its corpus")
    return sources.data


def _split_dev(
    sentences: Sequence[TaggedSentence], *, share: float = _DEV_SHARE
) -> tuple[tuple[TaggedSentence, ...], tuple[TaggedSentence, ...]]:
    """Split a share of the training part, in whole documents, off as the dev part."""
    held = hold_out([sentence.group for sentence in sentences], share=share)
    return (
        tuple(compress(sentences, (not out for out in held))),
        tuple(compress(sentences, held)),
    )


def _cross_validate(
    sentences: Sequence[TaggedSentence], places: Sequence[int], *, dev_share: float = _DEV_SHARE
) -> Iterator[Fold]:
    """Yield one division per fold; ``dev_share`` is a share of the training part."""
    for index in sorted(set(places)):
        train, dev = _split_dev(
            [s for s, place in zip(sentences, places, strict=True) if place != index],
            share=dev_share,
        )
        test = tuple(s for s, place in zip(sentences, places, strict=True) if place == index)
        yield Fold(index=index, train=train, dev=dev, test=test)


def _by_document(sentences: Sequence[TaggedSentence], *, n_folds: int) -> list[int]:
    return grouped_folds([sentence.group for sentence in sentences], n_folds=n_folds)


def _conll04(sources: Sources) -> Benchmark:
    """Train on train.txt and dev.txt, score on test.txt; choose by dev.txt."""
    folder = _folder(sources, "conll04")
    parts = [
        read_part(sources.format or "conll04", folder / f"{name}.txt")
        for name in ("train", "dev", "test")
    ]
    train, dev, test = (part.sentences for part in parts)
    return Benchmark(
        name="conll04",
        folds=(Fold(train=train, dev=dev, test=test),),
        left_out=_left_out(*parts),
    )


def _left_out(*parts: Part) -> dict[str, int]:
    return dict(sum((part.left_out for part in parts), Counter[str]()))


def _read_ade(folder: Path, file: str) -> Part:
    corpus = read_corpus("ade", folder / file)
    pinned = tuple(pin_sentence(document) for document in corpus.documents)
    return align(replace(corpus, documents=pinned))


def _ade(sources: Sources) -> Benchmark:
    """Ten folds, SpERT's or drawn by abstract; a document of the corpus is a sentence."""
    folder = _folder(sources, "ade")
    part = _read_ade(folder, "DRUG-AE.rel")
    if sources.group == "pmid":
        places = _by_document(part.sentences, n_folds=10)
    else:
        table = read_fold_table(folder / "spert_folds.tsv")
        places = [_spert_fold(sentence, table) for sentence in part.sentences]
    return Benchmark(
        name="ade",
        headline="macro",
        folds=tuple(_cross_validate(part.sentences, places)),
        left_out=part.left_out,
    )


def _spert_fold(sentence: TaggedSentence, table: Mapping[str, int]) -> int:
    identifier = sentence.id.removeprefix("ade-").partition("#")[0]
    if identifier not in table:
        raise InputError(
            f"spert_folds.tsv has no fold for sentence {identifier} of DRUG-AE.rel: take both "
            "files from one source, or draw folds with --group pmid"
        )
    return table[identifier]


def _ade_mixed(sources: Sources) -> Benchmark:
    """ADE and negative sentences of its abstracts, as many or more, in ten folds by abstract."""
    folder = _folder(sources, "ade-mixed")
    part = _read_ade(folder, "DRUG-AE.rel")
    negatives = _read_ade(folder, "ADE-NEG.txt").sentences
    rng = np.random.default_rng(_NEGATIVE_SEED)
    n_negatives = min(round(sources.negatives * len(part.sentences)), len(negatives))
    chosen = sorted(rng.permutation(len(negatives))[:n_negatives].tolist())
    sentences = (*part.sentences, *(negatives[i] for i in chosen))
    places = _by_document(sentences, n_folds=10)
    return Benchmark(
        name="ade-mixed",
        headline="macro",
        folds=tuple(_cross_validate(sentences, places)),
        left_out=part.left_out,
    )


def _i2b2(sources: Sources) -> Benchmark:
    """Five folds by record: 70 % to train on, 10 % to choose by, 20 % to score."""
    part = read_part(sources.format or "i2b2", _folder(sources, "i2b2"))
    places = _by_document(part.sentences, n_folds=5)
    return Benchmark(
        name="i2b2",
        folds=tuple(_cross_validate(part.sentences, places, dev_share=0.125)),
        trains_on_dev=False,
        left_out=part.left_out,
    )


def _ace04(sources: Sources) -> Benchmark:
    """Five folds by document."""
    part = read_part(sources.format or "ace", _folder(sources, "ace04"))
    places = _by_document(part.sentences, n_folds=5)
    return Benchmark(
        name="ace04",
        folds=tuple(_cross_validate(part.sentences, places)),
        left_out=part.left_out,
    )


def _ace05(sources: Sources) -> Benchmark:
    """Train, dev and test as Miwa and Bansal (2016) cut them."""
    part = read_part(sources.format or "miwa", _folder(sources, "ace05"))
    cut: dict[str, list[TaggedSentence]] = {"train": [], "dev": [], "test": []}
    for sentence, split in zip(part.sentences, part.splits, strict=True):
        if split not in cut:
            raise InputError(
                f"sentence {sentence.id}: its document has no split train, dev or test; "
                "ace05 needs Miwa's layout with those three parts"
            )
        cut[split].append(sentence)
    train, dev, test = (tuple(cut[name]) for name in ("train", "dev", "test"))
    return Benchmark(
        name="ace05",
        folds=(Fold(train=train, dev=dev, test=test),),
        trains_on_dev=False,
        left_out=part.left_out,
    )


def _jsonl(sources: Sources) -> Benchmark:
    """Files of the user's own: train and test, or one file in folds by document."""
    reader = sources.format or "jsonl"
    files = (sources.train, sources.dev, sources.test)
    if sources.data is not None and sources.n_folds is not None and not any(files):
        part = read_part(reader, sources.data)
        places = _by_document(part.sentences, n_folds=sources.n_folds)
        return Benchmark(
            name="jsonl",
            folds=tuple(_cross_validate(part.sentences, places)),
            left_out=part.left_out,
        )
    if not (sources.train and sources.test) or sources.data or sources.n_folds is not None:
        raise ConfigError(
            "the experiment jsonl needs --train FILE and --test FILE, or --data FILE and --folds K"
        )
    train, test = read_part(reader, sources.train), read_part(reader, sources.test)
    parts = [train, test]
    if sources.dev is not None:
        parts.append(read_part(reader, sources.dev))
        fold = Fold(train=train.sentences, dev=parts[-1].sentences, test=test.sentences)
    else:
        rest, dev = _split_dev(train.sentences)
        fold = Fold(train=rest, dev=dev, test=test.sentences)
    return Benchmark(
        name="jsonl",
        folds=(fold,),
        trains_on_dev=sources.dev is None,
        left_out=_left_out(*parts),
    )


#: How each experiment reads and splits its corpus, by its name.
PROTOCOLS: Mapping[str, Callable[[Sources], Benchmark]] = MappingProxyType(
    {
        "conll04": _conll04,
        "ade": _ade,
        "ade-mixed": _ade_mixed,
        "i2b2": _i2b2,
        "ace04": _ace04,
        "ace05": _ace05,
        "jsonl": _jsonl,
    }
)
