"""Tables of predictions: one row a window and task, or one row a window; plain or gzip.

Rows are put together from arrays of bytes. Probabilities have a fixed width, so that for windows whose
coordinates are as long as each other every row of a task has its fields at the same places.
"""

import gzip
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genome_lm.choices import TableLayout
from genome_lm.prediction.digits import WIDTH, format_probabilities
from genome_lm.prediction.output import Content, calls
from genome_lm.prediction.thresholds import sigmoid
from genome_lm.tables import guarded

WINDOW_COLUMNS = ("sequence", "start", "end", "bin_start", "bin_end", "strand", "name")
TASK_COLUMNS = ("task_id", "probability", "threshold", "call")

_BLOCK_BYTES = 1 << 23
_GZIP_LEVEL = 1  # 6 takes three times as long and saves a quarter


def write_table(
    path: Path,
    content: Content,
    blocks: Iterable[tuple[int, np.ndarray]],
    layout: TableLayout,
    only_calls: bool,
    compress: bool,
) -> int:
    """Write a table and return the number of its rows, without the header.

    Args:
        path: is overwritten.
        blocks: (number of the first window, logits float32 [block, n_tasks]), without gaps.
        only_calls: leave out rows of windows and tasks that are not called; for `TableLayout.long`.
        compress: whether to write gzip.
    """
    rows = 0
    with _opened(path, compress) as file:
        columns = content.tasks.ids if layout is TableLayout.wide else TASK_COLUMNS
        file.write("\t".join([*WINDOW_COLUMNS, *map(_quoted, columns)]).encode() + b"\n")
        make = _Wide() if layout is TableLayout.wide else _Called(content) if only_calls else _Long(content)
        row_bytes = len(content.tasks) * 128
        step = max(1, _BLOCK_BYTES // row_bytes)
        for first, logits in blocks:
            for at in range(0, len(logits), step):
                some = logits[at : at + step]
                prefixes = _prefixes(content, np.arange(first + at, first + at + len(some)))
                rows += make.write(file, prefixes, some)
    return rows


@contextmanager
def _opened(path: Path, compress: bool) -> Iterator[BinaryIO]:
    with path.open("wb") as raw:
        if not compress:
            yield raw
            return
        # Without name and time, so that the same predictions give the same file.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, raw, mtime=0) as packed:
            yield packed  # type: ignore[misc]


def _quoted(text: str) -> str:
    """As `genome_lm.tables.to_tsv` writes a cell: quoted only if it holds a tab, a quote or a line break."""
    text = guarded(text)
    return '"' + text.replace('"', '""') + '"' if set(text) & set('\t\n\r"') else text


def _prefixes(content: Content, numbers: np.ndarray) -> list[bytes]:
    """The fields of `WINDOW_COLUMNS` of some windows, each with a tab at its end."""
    intervals, windows = content.intervals, content.windows
    interval, starts = windows.locate(numbers)
    ends = starts + windows.context_bp
    sequences = [_quoted(name) for name in intervals.sequences]
    if content.bin_bp is None:
        bins = ["\t"] * len(numbers)
    else:
        pairs = zip(*(side.tolist() for side in windows.bins(starts, content.bin_bp)), strict=True)
        bins = [f"{first}\t{end}" for first, end in pairs]
    return [
        f"{sequences[sequence]}\t{start}\t{end}\t{bin_}\t{strand}\t{_quoted(intervals.names[which])}\t".encode()
        for sequence, start, end, bin_, strand, which in zip(
            intervals.sequence[interval].tolist(),
            starts.tolist(),
            ends.tolist(),
            bins,
            intervals.strand[interval].astype(str).tolist(),
            interval.tolist(),
            strict=True,
        )
    ]


class _Tails:
    """What a row has after its window's fields: heads `task_id\\t`, tails `\\tthreshold\\tcall\\n`."""

    def __init__(self, content: Content) -> None:
        thresholds = content.thresholds.probability
        self.thresholds = content.thresholds
        self.undefined = np.isnan(thresholds)
        self.heads = [_quoted(task).encode() + b"\t" for task in content.tasks.ids]
        texts = ["" if math.isnan(value) else f"{value:.6f}" for value in thresholds.tolist()]
        # A task without a threshold has no call either: one byte less.
        self.tails = [f"\t{text}\t{'0' if text else ''}\n".encode() for text in texts]


class _Long:
    """Every window and task, from a template of all rows of a window."""

    def __init__(self, content: Content) -> None:
        self.tails = _Tails(content)

    def write(self, file: BinaryIO, prefixes: list[bytes], logits: np.ndarray) -> int:
        digits = format_probabilities(sigmoid(logits))
        called = calls(logits, self.tails.thresholds).astype(np.uint8)
        lengths = np.fromiter(map(len, prefixes), dtype=np.int64, count=len(prefixes))
        changes = np.flatnonzero(np.diff(lengths)) + 1
        for begin, end in zip([0, *changes], [*changes, len(prefixes)], strict=True):
            file.write(self._rows(prefixes[begin:end], digits[begin:end], called[begin:end]))
        return logits.size

    def _rows(self, prefixes: list[bytes], digits: np.ndarray, called: np.ndarray) -> memoryview:
        """Rows of windows whose prefixes have one length."""
        length = len(prefixes[0])
        before = np.frombuffer(b"".join(prefixes), dtype=np.uint8).reshape(-1, length)
        rows = [
            bytes(length) + head + bytes(WIDTH) + tail
            for head, tail in zip(self.tails.heads, self.tails.tails, strict=True)
        ]
        template = np.frombuffer(b"".join(rows), dtype=np.uint8)
        out = np.empty((len(prefixes), len(template)), dtype=np.uint8)
        out[:] = template
        at = 0
        for task, (row, head) in enumerate(zip(rows, self.tails.heads, strict=True)):
            out[:, at : at + length] = before
            value = at + length + len(head)
            out[:, value : value + WIDTH] = digits[:, task]
            at += len(row)
            if not self.tails.undefined[task]:
                out[:, at - 2] += called[:, task]  # "0" becomes "1"
        return out.data


class _Called:
    """Called windows and tasks only: few, so they are joined one by one."""

    def __init__(self, content: Content) -> None:
        self.tails = _Tails(content)
        self.after = [tail[:-2] + b"1\n" for tail in self.tails.tails]

    def write(self, file: BinaryIO, prefixes: list[bytes], logits: np.ndarray) -> int:
        rows, tasks = np.nonzero(calls(logits, self.tails.thresholds))
        digits = format_probabilities(sigmoid(logits[rows, tasks])).tobytes()
        heads, after = self.tails.heads, self.after
        file.write(
            b"".join(
                [
                    prefixes[row] + heads[task] + digits[at : at + WIDTH] + after[task]
                    for row, task, at in zip(
                        rows.tolist(), tasks.tolist(), range(0, len(digits), WIDTH), strict=True
                    )
                ]
            )
        )
        return len(rows)


class _Wide:
    """One row a window, one column a task."""

    def write(self, file: BinaryIO, prefixes: list[bytes], logits: np.ndarray) -> int:
        cells = np.empty((*logits.shape, WIDTH + 1), dtype=np.uint8)
        cells[..., :WIDTH] = format_probabilities(sigmoid(logits))
        cells[..., WIDTH] = ord("\t")
        cells[:, -1, WIDTH] = ord("\n")
        file.write(b"".join([part for row, prefix in enumerate(prefixes) for part in (prefix, cells[row])]))
        return len(prefixes)
