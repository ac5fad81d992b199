"""Near-duplicate texts: word shingles, MinHash bands to find candidates, Jaccard to compare them.

Two texts are near-duplicates if they share at least ``NEAR`` of their three-word shingles (Broder
1997). ``sketch_texts`` gives each text a few numbers, its *bands*. Near-duplicates very probably
share one, other texts hardly ever do, so an index on bands finds the few texts that ``similarity``
must compare; ``DuplicateIndex`` is such an index in memory. Results are the same in every process
and on every machine.
"""

from __future__ import annotations

import re
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MIN_WORDS",
    "MOST_A_BAND",
    "NEAR",
    "N_BANDS",
    "DuplicateIndex",
    "Sketch",
    "find_repeats",
    "similarity",
    "sketch_texts",
]

NEAR = 0.7
MIN_WORDS = 5  # shorter texts ("No complaints.") recur anyway and say nothing about their source
N_BANDS = 8
MOST_A_BAND = 32  # texts compared per band: more share boilerplate, not a source
_ROWS = 3  # hashes per band: P(candidate) = 1 - (1 - J^3)^8, 0.997 at J = 0.8 and 0.008 at J = 0.1
_SHINGLE = 3

# A character of a script without spaces is a word of its own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")

_Hashes = NDArray[np.uint64]


def _draw(seed: int) -> tuple[_Hashes, _Hashes]:
    rng = np.random.default_rng(seed)
    size = N_BANDS * _ROWS
    odd = rng.integers(1, 2**63, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return odd, rng.integers(0, 2**63, size=size, dtype=np.uint64)


_FACTORS, _SHIFTS = _draw(20_261_125)  # never change it: bands are stored


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sketch:
    """The parts of a text that are compared.

    Attributes:
        shingles: Hashes of its distinct three-word shingles, ascending; empty for a text too short
            to have near-duplicates. Shape ``(shingles,)``, uint64.
        bands: ``N_BANDS`` signed 64-bit numbers; none for a text that is too short.
    """

    shingles: _Hashes
    bands: tuple[int, ...]


_NOTHING = Sketch(shingles=np.empty(0, dtype=np.uint64), bands=())


class _WordHashes(dict[str, int]):
    def __missing__(self, word: str) -> int:
        value = self[word] = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        return value


def sketch_texts(texts: Sequence[str]) -> list[Sketch]:
    """Sketch texts together, much cheaper than one by one. Linear in their length."""
    known = _WordHashes()
    words = [[known[w] for w in _WORD.findall(text.lower())] for text in texts]
    full = [found for found in words if len(found) >= MIN_WORDS]
    if not full:
        return [_NOTHING] * len(texts)
    joined = _shingle(np.array([w for found in full for w in found], dtype=np.uint64))
    ends = np.cumsum([len(found) for found in full])
    starts = np.array([0, *ends[:-1]])
    # A shingle across two texts belongs to neither.
    inside = [
        joined[a : b - _SHINGLE + 1] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    bands = _bands(np.concatenate(inside), np.array([len(found) for found in inside])).tolist()
    sketches = iter(zip(inside, bands, strict=True))
    return [_sketch(*next(sketches)) if len(found) >= MIN_WORDS else _NOTHING for found in words]


def _sketch(shingles: _Hashes, bands: Sequence[int]) -> Sketch:
    return Sketch(shingles=np.unique(shingles), bands=tuple(bands))


def _shingle(words: _Hashes) -> _Hashes:
    mixed = words[: 1 - _SHINGLE]
    for i in range(1, _SHINGLE):
        mixed = _mix(mixed) + words[i : len(words) + 1 - _SHINGLE + i]
    return _mix(mixed)


def _mix(values: _Hashes) -> _Hashes:
    # The finaliser of SplitMix64 (Steele et al. 2014).
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _bands(shingles: _Hashes, lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    bands = np.zeros((len(lengths), N_BANDS), dtype=np.uint64)
    for i in range(N_BANDS * _ROWS):
        column = i // _ROWS
        lowest = np.minimum.reduceat(shingles * _FACTORS[i] + _SHIFTS[i], starts)
        bands[:, column] = _mix(bands[:, column] + lowest + np.uint64(column + 1))
    return bands.view(np.int64)


def similarity(one: Sketch, other: Sketch) -> float:
    """Return the Jaccard similarity of two texts' shingles; 0 if either text is too short."""
    if not len(one.shingles) or not len(other.shingles):
        return 0.0
    shared = len(np.intersect1d(one.shingles, other.shingles, assume_unique=True))
    return shared / (len(one.shingles) + len(other.shingles) - shared)


class DuplicateIndex:
    """Finds near-duplicates of a text among the texts added, and returns their names.

    It keeps the ``MOST_A_BAND`` newest texts of each band, so that a search costs the same however
    many texts share a letterhead.
    """

    def __init__(self) -> None:
        self._bands: dict[int, deque[tuple[str, Sketch]]] = {}

    def add(self, name: str, sketch: Sketch) -> None:
        """Add a text; several may have the same name."""
        for band in sketch.bands:
            texts = self._bands.setdefault(band, deque(maxlen=MOST_A_BAND))
            texts.append((name, sketch))

    def candidates(self, sketch: Sketch) -> set[str]:
        """Return the names of texts that share a band with this one."""
        return {name for band in sketch.bands for name, _ in self._bands.get(band, ())}

    def find(self, sketch: Sketch) -> Iterator[str]:
        """Yield the name of each near-duplicate, once."""
        found: set[str] = set()
        seen: set[int] = set()
        for band in sketch.bands:
            for name, other in self._bands.get(band, ()):
                if name in found or id(other) in seen:
                    continue
                seen.add(id(other))
                if similarity(sketch, other) >= NEAR:
                    found.add(name)
                    yield name


def find_repeats(texts: Sequence[str], known: Sequence[str]) -> NDArray[np.bool_]:
    """Return which texts repeat one in ``known`` or an earlier one of ``texts``.

    Texts too short for near-duplicates repeat another if they differ only in case and spaces.

    Returns:
        True for a repeat. Shape ``(texts,)``, bool.
    """
    near: dict[int, deque[frozenset[int]]] = {}  # sentences are short: sets beat arrays
    seen, repeats = set[str](), np.zeros(len(texts), dtype=np.bool_)
    every = [*known, *texts]
    for i, (text, sketch) in enumerate(zip(every, sketch_texts(every), strict=True)):
        same, shingles = " ".join(text.lower().split()), frozenset(sketch.shingles.tolist())
        others = {other for band in sketch.bands for other in near.get(band, ())}
        is_repeat = same in seen or any(
            (shared := len(shingles & other)) >= NEAR * (len(shingles) + len(other) - shared)
            for other in others
        )
        if i >= len(known):
            repeats[i - len(known)] = is_repeat
        if not is_repeat:
            seen.add(same)
            for band in sketch.bands:
                near.setdefault(band, deque(maxlen=MOST_A_BAND)).append(shingles)
    return repeats
