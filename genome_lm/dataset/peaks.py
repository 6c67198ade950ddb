"""Peak files: BED (three columns or more), narrowPeak and broadPeak, plain or gzip.

Only the first three columns are used. Coordinates are 0-based half-open, as BED defines them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from genome_lm.dataset.bed import LONGEST_NUMBER, SKIPPED, bad_interval, columns_of, coordinate, whole_lines
from genome_lm.dataset.names import match_name

_Rows = tuple[list[bytes], list[int], list[int], list[int]]  # names, starts, ends, line numbers


@dataclass
class Peaks:
    """Peaks of one file on the chromosomes of a genome.

    `intervals` maps a chromosome of the genome to (starts, ends), int64, in file order, as the file gives
    them (they may overlap). `elsewhere` counts the peaks on names that the genome does not have. `renamed`
    maps names of the file to the genome's own where they differ by "chr".
    """

    intervals: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    elsewhere: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def n_peaks(self) -> int:
        """Peaks on the genome's chromosomes."""
        return sum(len(starts) for starts, _ in self.intervals.values())


def read_peaks(path: Path, lengths: Mapping[str, int]) -> Peaks:
    """Read a peak file against a genome whose chromosomes have `lengths` in bp.

    Lines that are empty or begin with "#", "track" or "browser" are passed over, and so is a first line of
    column names.

    Raises:
        UserError: names file and line: fewer than three columns, a start or end that is no whole number,
            negative, end <= start, or past the end of the chromosome.
    """
    parts: dict[bytes, list[tuple[np.ndarray, np.ndarray]]] = {}
    targets: dict[bytes, str | None] = {}
    peaks = Peaks()
    for names, starts, ends, numbers in _rows(path):
        start, end = np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
        limit_of: dict[bytes, int] = {}
        for name in dict.fromkeys(names):  # in file order, so that messages do not vary
            if name not in targets:
                targets[name] = match_name(name.decode("utf-8", "replace"), lengths)
            target = targets[name]
            limit_of[name] = np.iinfo(np.int64).max if target is None else lengths[target]
        limit = np.fromiter(map(limit_of.__getitem__, names), dtype=np.int64, count=len(names))
        wrong = np.flatnonzero((end <= start) | (end > limit))
        if wrong.size:
            first = int(wrong[0])
            raise bad_interval(
                path, numbers[first], names[first], starts[first], ends[first], int(limit[first])
            )
        if len(limit_of) == 1:
            parts.setdefault(names[0], []).append((start, end))
            continue
        code_of = {name: code for code, name in enumerate(limit_of)}
        code = np.fromiter(map(code_of.__getitem__, names), dtype=np.int64, count=len(names))
        for name, value in code_of.items():
            parts.setdefault(name, []).append((start[code == value], end[code == value]))

    joined: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for name, pairs in parts.items():
        text, target = name.decode("utf-8", "replace"), targets[name]
        if target is None:
            # Names that are no UTF-8 may read alike.
            peaks.elsewhere[text] = peaks.elsewhere.get(text, 0) + sum(len(starts) for starts, _ in pairs)
            continue
        joined.setdefault(target, []).extend(pairs)
        if text != target:
            peaks.renamed[text] = target
    for target, pairs in joined.items():
        peaks.intervals[target] = (
            np.concatenate([starts for starts, _ in pairs]),
            np.concatenate([ends for _, ends in pairs]),
        )
    return peaks


def _rows(path: Path) -> Iterator[_Rows]:
    """Parsed lines, a block of the file at a time."""
    for text, line in whole_lines(path):
        yield from _parse(path, text, line)


def _parse(path: Path, text: bytes, first_line: int) -> Iterator[_Rows]:
    """Parse whole lines. Clean tab-separated ones go in one sweep; anything else line by line."""
    lines = text.removesuffix(b"\n").split(b"\n")
    rows = _parse_clean(lines, first_line) or _parse_carefully(path, lines, first_line)
    if rows[0]:
        yield rows


def _parse_clean(lines: list[bytes], first_line: int) -> _Rows | None:
    try:
        names, starts, ends = zip(*[line.split(b"\t", 3)[:3] for line in lines], strict=True)
    except ValueError:
        return None
    digits = b"".join(starts) + b"".join(ends)
    if not digits.isdigit() or not all(map(_is_clean, set(names))):
        return None
    if max(map(len, starts)) > LONGEST_NUMBER or max(map(len, ends)) > LONGEST_NUMBER:
        return None
    try:
        rows = list(map(int, starts)), list(map(int, ends))
    except ValueError:  # an empty column
        return None
    return list(names), *rows, list(range(first_line, first_line + len(lines)))


def _is_clean(name: bytes) -> bool:
    """Whether a name is that of a chromosome as it stands."""
    bare = bool(name) and name == name.strip() and not name.startswith(SKIPPED)
    return bare and name.decode("utf-8", "replace").isprintable()


def _parse_carefully(path: Path, lines: list[bytes], first_line: int) -> _Rows:
    names: list[bytes] = []
    starts: list[int] = []
    ends: list[int] = []
    numbers: list[int] = []
    for number, raw in enumerate(lines, start=first_line):
        columns = columns_of(path, number, raw)
        if columns is None:
            continue
        names.append(columns[0])
        starts.append(coordinate(path, number, "start", columns[1]))
        ends.append(coordinate(path, number, "end", columns[2]))
        numbers.append(number)
    return names, starts, ends, numbers
