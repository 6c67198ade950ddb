"""Writing a dataset file: piece by piece, whole or not at all."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

import genome_lm
from genome_lm.atomic import replacing
from genome_lm.dataset.contents import TaskTable
from genome_lm.dataset.layout import (
    FORMAT,
    FORMAT_VERSION,
    NUMBERS,
    REFERENCE_GROUP,
    TASK_TEXT,
    content_digest,
    to_fixed,
)
from genome_lm.dataset.sink import Sink
from genome_lm.dataset.source import Source
from genome_lm.errors import UserError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Header:
    """What is said once a file. `recipe` must survive JSON."""

    genome_build: str
    window_bp: int
    bin_bp: int
    recipe: dict


@dataclass(frozen=True)
class Piece:
    """The windows of one chromosome, by start.

    `offset` counts from the first base of this piece's own sequence. A source without coordinates is one or
    more pieces with invented names, its windows laid end to end and `start` equal to `offset`.
    """

    chromosome: str
    sequence: np.ndarray  # uint8 [n_bases]
    offset: np.ndarray  # int64 [n_windows]
    start: np.ndarray  # int64 [n_windows]
    split: np.ndarray  # uint8 [n_windows]
    packed_labels: np.ndarray  # uint8 [n_windows, ceil(n_tasks / 8)]


class _Column:
    """A dataset that grows by appending and digests what it is given."""

    def __init__(self, file: h5py.File, name: str, dtype: np.dtype, width: int | None, level: int) -> None:
        tail = () if width is None else (width,)
        rows = max(1, _CHUNK_BYTES // (dtype.itemsize * (width or 1)))
        self.name, self.dtype = name, dtype
        self._digest = hashlib.sha256()
        self._dataset = file.create_dataset(
            name,
            shape=(0, *tail),
            maxshape=(None, *tail),
            chunks=(rows, *tail),
            dtype=dtype,
            compression="gzip",
            compression_opts=level,
            shuffle=dtype.itemsize > 1,
        )

    def append(self, rows: np.ndarray) -> None:
        rows = np.ascontiguousarray(rows, dtype=self.dtype)
        first = len(self._dataset)
        self._dataset.resize(first + len(rows), axis=0)
        self._dataset[first:] = rows
        self._digest.update(rows.data)

    def close(self) -> tuple[str, np.dtype, tuple[int, ...], str]:
        digest = self._digest.hexdigest()
        self._dataset.attrs["sha256"] = digest
        return self.name, self.dtype, self._dataset.shape, digest


def write_dataset(
    path: Path,
    header: Header,
    tasks: TaskTable,
    pieces: Iterable[Piece],
    sources: Sequence[Source] = (),
    compression_level: int = 4,
) -> str:
    """Write a dataset file and return its checksum ("sha256:...").

    Pieces are taken one at a time, so that no more than one chromosome is held in memory. The same contents
    give the same checksum whatever the compression.

    Raises:
        UserError: the file cannot be written (no such folder, disk full), there are no windows, or there are
            more chromosomes than the format can number.
    """
    with replacing(path) as temporary:
        try:
            with Sink(temporary) as sink:
                with h5py.File(sink, "w", libver=("earliest", "v110")) as file:
                    digest = _write(file, header, tasks, _watched(pieces, sink), sources, compression_level)
                sink.check()
                return digest
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
            ) from error


def _watched(pieces: Iterable[Piece], sink: Sink) -> Iterator[Piece]:
    """The pieces, until a write fails: the next one is not worth its making."""
    for piece in pieces:
        sink.check()
        yield piece


def _write(
    file: h5py.File,
    header: Header,
    tasks: TaskTable,
    pieces: Iterable[Piece],
    sources: Sequence[Source],
    level: int,
) -> str:
    n_bytes = -(-len(tasks) // 8)
    columns = {
        name: _Column(file, name, NUMBERS[name], n_bytes if name == "labels" else None, level)
        for name in (
            "sequence",
            "windows/offset",
            "windows/chromosome",
            "windows/start",
            "windows/split",
            "labels",
        )
    }
    chromosomes: list[str] = []
    n_bases = n_windows = 0
    for piece in pieces:
        count = len(piece.offset)
        if piece.packed_labels.shape != (count, n_bytes):
            raise ValueError(f"labels of shape {piece.packed_labels.shape}, expected {(count, n_bytes)}")
        columns["sequence"].append(piece.sequence)
        columns["windows/offset"].append(piece.offset + n_bases)
        columns["windows/chromosome"].append(np.full(count, len(chromosomes), dtype=np.uint16))
        columns["windows/start"].append(piece.start)
        columns["windows/split"].append(piece.split)
        columns["labels"].append(piece.packed_labels)
        chromosomes.append(piece.chromosome)
        if len(chromosomes) > np.iinfo(np.uint16).max:
            raise UserError(
                f"more than {np.iinfo(np.uint16).max:,} chromosomes or contigs have windows; keep the "
                "longest in the FASTA"
            )
        n_bases += len(piece.sequence)
        n_windows += count
    if not n_windows:
        raise UserError("no windows to write; check that the peak files and the FASTA are of the same genome")

    small: dict[str, np.ndarray] = {"chromosomes": to_fixed(chromosomes)}
    small |= {f"tasks/{column}": to_fixed(getattr(tasks, column)) for column in TASK_TEXT}
    small["tasks/selects_bins"] = tasks.selects_bins.astype(np.uint8)
    small["tasks/n_peaks"] = tasks.n_peaks
    small |= {f"{REFERENCE_GROUP}/{name}": scores.astype("<f8") for name, scores in tasks.reference.items()}
    small["sources/name"] = to_fixed(source.name for source in sources)
    small["sources/sha256"] = to_fixed(source.sha256 for source in sources)
    small["sources/bytes"] = np.array([source.n_bytes for source in sources], dtype=np.int64)
    file.require_group(REFERENCE_GROUP)
    for name, values in small.items():
        dtype = NUMBERS.get(name, values.dtype)
        columns[name] = _Column(file, name, dtype, None, level)
        columns[name].append(values)

    recipe = json.dumps(header.recipe, sort_keys=True)
    digest = content_digest(
        header.genome_build,
        header.window_bp,
        header.bin_bp,
        recipe,
        [column.close() for column in columns.values()],
    )
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["genome_build"] = header.genome_build
    file.attrs["window_bp"] = header.window_bp
    file.attrs["bin_bp"] = header.bin_bp
    file.attrs["recipe"] = recipe
    file.attrs["content_digest"] = digest
    file.attrs["created_with"] = f"genome-lm {genome_lm.__version__}"
    return digest
