"""Predictions for sequences as HDF5, format version 1.

    /                    attributes: format, format_version, genome_lm_version, checkpoint, checkpoint_sha256,
                         model, dataset_checksum and genome_build (of the dataset trained on), context_bp,
                         bin_bp, average_strands, thresholds (in words), fasta, bed (without folders; bed is
                         empty where there was none); a checkpoint and an evaluation are named from their
                         run folder on; genome_build and bin_bp are absent if unknown
    /probability         float32 [n_windows, n_tasks]
    /call                uint8 [n_windows, n_tasks], 1 where the logit is at least the threshold, 0 where not,
                         255 for a task without a threshold
    /threshold           float64 [n_tasks], as a probability; NaN for a task without one
    /threshold_logit     float64 [n_tasks], the same on the scale of the logits
    /windows/sequence    uint32 [n_windows], index into /sequences
    /windows/start, end  int64 [n_windows], 0-based half-open; beyond the sequence where filled up with N
    /windows/bin_start, bin_end  int64 [n_windows], what a probability refers to; absent if unknown
    /windows/interval    int64 [n_windows], index of the interval of the BED file or record of the FASTA
    /windows/strand      S1 [n_windows], "+", "-" or "."
    /intervals/name      string [n_intervals], "." where there is none
    /sequences           string [n_sequences], as the BED file (without one: the FASTA) writes them
    /tasks/...           id, cell, target, treatment, group: string [n_tasks]; positive_rate: float64 (train)

Windows are in the order of the intervals, those of one interval from left to right. Strings are UTF-8 of
fixed length. /probability, /call and /windows are stored in chunks, shuffled and packed by gzip, with a
checksum each. Every dataset has an attribute `sha256` over its bytes (C order, little-endian).
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np

from genome_lm.dataset.layout import to_fixed
from genome_lm.dataset.sink import new_hdf5
from genome_lm.prediction.output import Content, calls
from genome_lm.prediction.thresholds import sigmoid

FORMAT = "genome_lm sequence predictions"
FORMAT_VERSION = 1
NO_CALL = 255

_CHUNK_WINDOWS = 1024
_CHUNK_TASKS = 128
_CACHE_BYTES = 1 << 26  # holds the chunks of a row of windows up to 14,000 tasks
_NUMBERS_AT_ONCE = 1 << 18
_GZIP_LEVEL = 1


def write_hdf5(path: Path, content: Content, blocks: Iterable[tuple[int, np.ndarray]]) -> int:
    """Write the file and return the number of its windows.

    Args:
        path: is overwritten.
        blocks: (number of the first window, logits float32 [block, n_tasks]), without gaps.
    """
    n_windows, n_tasks = len(content.windows), len(content.tasks)
    undefined = np.isnan(content.thresholds.logit)
    with new_hdf5(path, _CACHE_BYTES) as file:
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        for name, value in content.provenance.items():
            file.attrs[name] = value
        file.attrs["thresholds"] = content.thresholds.source
        _whole(file, "threshold", content.thresholds.probability)
        _whole(file, "threshold_logit", content.thresholds.logit)
        for name, column in content.tasks.table.items():
            _whole(file, f"tasks/{name}", to_fixed(column))
        _whole(file, "tasks/positive_rate", content.tasks.positive_rate)
        _whole(file, "sequences", to_fixed(content.intervals.sequences))
        _texts(file, "intervals/name", content.intervals.names)
        _windows(file, content)
        shape = (n_windows, n_tasks)
        probability = _Packed(file, "probability", shape, np.dtype(np.float32))
        call = _Packed(file, "call", shape, np.dtype(np.uint8))
        for first, logits in blocks:
            probability.write(first, sigmoid(logits.astype(np.float64)))
            called = calls(logits, content.thresholds).astype(np.uint8)
            called[:, undefined] = NO_CALL
            call.write(first, called)
        probability.close()
        call.close()
    return n_windows


def _whole(file: h5py.File, name: str, values: np.ndarray) -> None:
    """A dataset of one piece, with its digest."""
    stored = file.create_dataset(name, data=values)
    stored.attrs["sha256"] = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


class _Packed:
    """A dataset written from its first row to its last, with its digest."""

    def __init__(self, file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        most = (_CHUNK_WINDOWS, _CHUNK_TASKS) if len(shape) == 2 else (_CHUNK_WINDOWS * _CHUNK_TASKS,)
        self._stored = file.create_dataset(
            name,
            shape=shape,
            dtype=dtype,
            chunks=tuple(map(min, shape, most)),
            compression="gzip",
            compression_opts=_GZIP_LEVEL,
            shuffle=True,
            fletcher32=True,
        )
        self._digest = hashlib.sha256()
        self._written = 0

    def write(self, first: int, rows: np.ndarray) -> None:
        """Write rows from `first` on, which is where the rows before have ended."""
        if first != self._written:
            raise ValueError(f"rows from {first} on, expected those from {self._written} on")
        values = np.ascontiguousarray(rows, dtype=self._stored.dtype)
        self._stored[first : first + len(values)] = values
        self._digest.update(values.data)
        self._written += len(values)

    def close(self) -> None:
        """Write the digest."""
        self._stored.attrs["sha256"] = self._digest.hexdigest()


def _windows(file: h5py.File, content: Content) -> None:
    intervals, windows = content.intervals, content.windows
    n_windows = len(windows)
    columns: dict[str, np.dtype] = {
        "sequence": np.dtype(np.uint32),
        "start": np.dtype(np.int64),
        "end": np.dtype(np.int64),
        "interval": np.dtype(np.int64),
        "strand": np.dtype("S1"),
    }
    if content.bin_bp is not None:
        columns |= {"bin_start": np.dtype(np.int64), "bin_end": np.dtype(np.int64)}
    stored = {name: _Packed(file, f"windows/{name}", (n_windows,), dtype) for name, dtype in columns.items()}
    for at in range(0, n_windows, _NUMBERS_AT_ONCE):
        numbers = np.arange(at, min(at + _NUMBERS_AT_ONCE, n_windows))
        interval, starts = windows.locate(numbers)
        found = {
            "sequence": intervals.sequence[interval],
            "start": starts,
            "end": starts + windows.context_bp,
            "interval": interval,
            "strand": intervals.strand[interval],
        }
        if content.bin_bp is not None:
            found["bin_start"], found["bin_end"] = windows.bins(starts, content.bin_bp)
        for name, values in found.items():
            stored[name].write(at, values)
    for column in stored.values():
        column.close()


def _texts(file: h5py.File, name: str, texts: Sequence[str]) -> None:
    values = to_fixed(texts)
    stored = file.create_dataset(
        name, data=values, chunks=True, compression="gzip", compression_opts=_GZIP_LEVEL
    )
    stored.attrs["sha256"] = hashlib.sha256(values.data).hexdigest()
