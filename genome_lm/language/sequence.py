"""Sequence to learn from: which bases belong to training, validation and test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genome_lm.dataset.contents import SPLITS, Dataset
from genome_lm.dataset.fasta import read_fasta, scan_fasta
from genome_lm.dataset.regions import TEST, VALID, Region, parse_regions
from genome_lm.dataset.source import identify
from genome_lm.errors import UserError
from genome_lm.language.intervals import Interval, unknown_runs, without


@dataclass(frozen=True)
class Segments:
    """Parts of an array of base codes.

    Attributes:
        codes: uint8 [n_bases], of all splits.
        start: int64 [n_segments], ascending.
        end: int64 [n_segments], at most the next start.
    """

    codes: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @property
    def n_bases(self) -> int:
        """Bases in all segments."""
        return int((self.end - self.start).sum())


@dataclass(frozen=True)
class SplitSequence:
    """Segments of each split; no base is in two.

    Attributes:
        splits: "train", "valid" and "test" (which may be empty).
        origin: what it was made of, plain values: `path`, `checksum`, `genome_build` and `regions`.
    """

    splits: Mapping[str, Segments]
    origin: dict[str, Any]


def sequence_of_dataset(dataset: Dataset, stretch_bp: int) -> SplitSequence:
    """The stored bases of each split's windows; windows that overlap are one segment.

    Segments shorter than `stretch_bp` are left out.

    Raises:
        UserError: nothing is left to train on or to validate.
    """
    splits = {}
    for name in SPLITS:
        windows = dataset.windows_of(name)
        offset, start = dataset.offset[windows], dataset.start[windows]
        # Windows that merely touch are kept apart: those of sources without coordinates are unrelated.
        new = np.ones(len(windows), dtype=bool)
        new[1:] = (
            (np.diff(dataset.chromosome[windows].astype(np.int64)) != 0)
            | (np.diff(start) >= dataset.window_bp)
            | (np.diff(offset) != np.diff(start))
        )
        last = np.append(new[1:], True)[: len(windows)]
        splits[name] = _long_enough(
            Segments(dataset.sequence, offset[new], offset[last] + dataset.window_bp), stretch_bp
        )
    where = f"dataset {dataset.path}"
    _refuse_empty(splits, where, stretch_bp)
    return SplitSequence(splits, dataset.origin)


def sequence_of_fasta(
    path: Path, valid: Sequence[str], test: Sequence[str], buffer_bp: int, stretch_bp: int
) -> SplitSequence:
    """All records of a FASTA, split by region; the whole of it is held in memory, a byte a base.

    Test is the test regions, validation its regions without what lies within `buffer_bp` of a test region,
    and training all that lies further than `buffer_bp` from both. Runs of at least `stretch_bp` Ns are cut
    out: they hold nothing to predict. Segments shorter than `stretch_bp` are left out.

    Args:
        valid, test: regions such as "chr20:40,000,000-48,000,000" (0-based, half-open) or names of records.

    Raises:
        UserError: the file or a region is wrong, regions overlap, or nothing is left to train on or to
            validate.
    """
    if buffer_bp < 0:
        raise UserError(f"task.regions.buffer_bp is {buffer_bp}; expected 0 or more")
    lengths = scan_fasta(path)
    regions = parse_regions(valid, test, lengths, "task.regions")
    codes = np.empty(sum(lengths.values()), dtype=np.uint8)
    found: dict[str, list[Interval]] = {name: [] for name in SPLITS}
    at = 0
    for record, read in read_fasta(path, lengths):
        codes[at : at + len(read)] = read
        here = [region for region in regions if region.chromosome == record]
        unknown = unknown_runs(read, stretch_bp)
        for name, intervals in _split(len(read), here, buffer_bp).items():
            found[name] += [(at + start, at + end) for start, end in without(intervals, unknown)]
        at += len(read)
    splits = {
        name: _long_enough(Segments(codes, *_columns(intervals)), stretch_bp)
        for name, intervals in found.items()
    }
    _refuse_empty(splits, f"FASTA {path}", stretch_bp)
    origin = {
        "path": str(path.resolve()),
        "checksum": f"sha256:{identify(path).sha256}",
        "genome_build": "",
        "regions": {"valid": list(valid), "test": list(test), "buffer_bp": buffer_bp},
    }
    return SplitSequence(splits, origin)


def _split(length: int, regions: Sequence[Region], buffer_bp: int) -> dict[str, list[Interval]]:
    """Intervals of each split on a record of `length` bp with these regions, which are disjoint."""

    def of(split: int, margin_bp: int = 0) -> list[Interval]:
        return [(each.start - margin_bp, each.end + margin_bp) for each in regions if each.split == split]

    held_out = of(VALID, buffer_bp) + of(TEST, buffer_bp)
    return {
        "train": without([(0, length)], held_out),
        "valid": without(sorted(of(VALID)), of(TEST, buffer_bp)),
        "test": sorted(of(TEST)),
    }


def _columns(intervals: Sequence[Interval]) -> tuple[np.ndarray, np.ndarray]:
    both = np.array(intervals, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _long_enough(segments: Segments, stretch_bp: int) -> Segments:
    kept = segments.end - segments.start >= stretch_bp
    return Segments(segments.codes, segments.start[kept], segments.end[kept])


def _refuse_empty(splits: Mapping[str, Segments], where: str, stretch_bp: int) -> None:
    for name in ("train", "valid"):
        if not len(splits[name].start):
            raise UserError(
                f"{where} has no {name} sequence of {stretch_bp} bp in one piece; lower data.context_bp, or "
                "give other regions (task.regions of a FASTA)"
            )
