"""What to predict: the intervals of a BED file, or the whole records of a FASTA."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genome_lm.dataset.bed import bad_interval, columns_of, coordinate, whole_lines
from genome_lm.dataset.names import listed, match_name
from genome_lm.errors import UserError

_STRANDS = (b"+", b"-", b".")
UNNAMED = "."


@dataclass(frozen=True)
class Intervals:
    """Intervals in the order of their source. Coordinates are 0-based half-open.

    `sequences` are the names as the source writes them (`20`), `records` the FASTA's names for the same
    (`chr20`); several of the former may mean one of the latter.
    """

    sequences: tuple[str, ...]
    records: tuple[str, ...]  # as long as sequences
    sequence: np.ndarray  # int32 [n], index into sequences
    start: np.ndarray  # int64 [n]
    end: np.ndarray  # int64 [n]
    strand: np.ndarray  # S1 [n]: "+", "-" or "."
    names: tuple[str, ...]  # [n], "." where there is none

    def __len__(self) -> int:
        return len(self.start)

    def by_record(self) -> dict[str, np.ndarray]:
        """Indices of the intervals of each record, int64, ascending; only of records that have some."""
        number = {record: index for index, record in enumerate(dict.fromkeys(self.records))}
        record = np.array([number[name] for name in self.records], dtype=np.int64)[self.sequence]
        order = np.argsort(record, kind="stable")
        bounds = np.searchsorted(record[order], np.arange(len(number) + 1))
        return {
            name: order[bounds[index] : bounds[index + 1]]
            for name, index in number.items()
            if bounds[index] < bounds[index + 1]
        }


def whole_records(lengths: Mapping[str, int]) -> Intervals:
    """Each record of a FASTA as one interval, in file order.

    Args:
        lengths: bp by name, as `genome_lm.dataset.fasta.scan_fasta` returns them.
    """
    names = tuple(lengths)
    return Intervals(
        sequences=names,
        records=names,
        sequence=np.arange(len(names), dtype=np.int32),
        start=np.zeros(len(names), dtype=np.int64),
        end=np.fromiter(lengths.values(), dtype=np.int64, count=len(names)),
        strand=np.full(len(names), b".", dtype="S1"),
        names=(UNNAMED,) * len(names),
    )


def read_intervals(path: Path, lengths: Mapping[str, int]) -> Intervals:
    """Read a BED file, plain or gzip: chromosome, start, end, and if there, name (4) and strand (6).

    Lines that are empty or begin with "#", "track" or "browser" are passed over, and so is a first line of
    column names. The order is kept, and so are repeated and overlapping intervals.

    Args:
        lengths: bp of the FASTA's records by name; `20` and `chr20` are one.

    Raises:
        UserError: names file and line: fewer than three columns, a chromosome that the FASTA lacks, a start
            or end that is no whole number or negative, end <= start, an interval past the chromosome's end,
            a strand other than "+", "-" and "."; or the file holds no interval.
    """
    code_of: dict[bytes, int] = {}
    records: list[str] = []
    code: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    strands: list[bytes] = []
    names: list[str] = []
    for text, first_line in whole_lines(path):
        for number, raw in enumerate(text.removesuffix(b"\n").split(b"\n"), start=first_line):
            columns = columns_of(path, number, raw)
            if columns is None:
                continue
            name = columns[0]
            if name not in code_of:
                records.append(_record(path, number, name, lengths))
                code_of[name] = len(code_of)
            start = coordinate(path, number, "start", columns[1])
            end = coordinate(path, number, "end", columns[2])
            limit = lengths[records[code_of[name]]]
            if not start < end <= limit:
                raise bad_interval(path, number, name, start, end, limit)
            code.append(code_of[name])
            starts.append(start)
            ends.append(end)
            names.append(columns[3].decode("utf-8", "replace").strip() if len(columns) > 3 else UNNAMED)
            strands.append(_strand(path, number, columns[5]) if len(columns) > 5 else b".")
    if not starts:
        raise UserError(f"{path}: no intervals; expected lines of chromosome, start and end")
    return Intervals(
        sequences=tuple(name.decode("utf-8", "replace") for name in code_of),
        records=tuple(records),
        sequence=np.array(code, dtype=np.int32),
        start=np.array(starts, dtype=np.int64),
        end=np.array(ends, dtype=np.int64),
        strand=np.array(strands, dtype="S1"),
        names=tuple(name or UNNAMED for name in names),
    )


def _record(path: Path, line: int, name: bytes, lengths: Mapping[str, int]) -> str:
    text = name.decode("utf-8", "replace")
    record = match_name(text, lengths)
    if record is None:
        raise UserError(
            f"{path}: line {line}: chromosome {text!r} is not in the FASTA, which has {listed(lengths)}; "
            "remove the line or rename one side (only a missing or extra 'chr' is reconciled)"
        )
    return record


def _strand(path: Path, line: int, text: bytes) -> bytes:
    strand = text.strip()
    if strand not in _STRANDS:
        raise UserError(
            f"{path}: line {line}: strand {strand[:20].decode('utf-8', 'replace')!r} in column 6; expected "
            "'+', '-' or '.'; if column 6 is something else, cut the file to its first four columns"
        )
    return strand
