"""Writing a dataset file: piece by piece, whole or not at all."""

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

import genome_lm
from genome_lm.atomic import replacing
from genome_lm.choices import Storage
from genome_lm.dataset.contents import TaskTable
from genome_lm.dataset.layout import (
    FORMAT,
    FORMAT_VERSION,
    NUMBERS,
    REFERENCE_GROUP,
    TASK_TEXT,
    WINDOW_COLUMNS,
    content_digest,
    to_fixed,
)
from genome_lm.dataset.sink import Sink
from genome_lm.dataset.source import Source
from genome_lm.dataset.spool import Spool
from genome_lm.errors import UserError

_CHUNK_BYTES = 1 << 20

MAPPED_BYTES = 1 << 28
"""Bases, labels and windows from this size on are stored to be mapped, unless the user says else."""


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


def write_dataset(
    path: Path,
    header: Header,
    tasks: TaskTable,
    pieces: Iterable[Piece],
    sources: Sequence[Source] = (),
    compression_level: int = 4,
    storage: Storage = Storage.auto,
) -> str:
    """Write a dataset file and return its checksum ("sha256:...").

    Pieces are taken one at a time, so that no more than one chromosome is held in memory: what grows with
    them waits in nameless files in the folder of `path`, together of the columns' size, that the system
    removes when this process ends in any way. The same contents give the same checksum whatever the storage
    and the compression.

    Args:
        compression_level: of gzip, 0 to 9; of small columns where the storage is `mapped`.

    Raises:
        UserError: the file cannot be written (no such folder, disk full), there are no windows, or there are
            more chromosomes than the format can number.
    """
    with replacing(path) as temporary:
        try:
            with ExitStack() as spools:
                columns = _collect(pieces, -(-len(tasks) // 8), temporary.parent, spools)
                if storage is Storage.auto:
                    size = sum(spool.n_bytes for spool in columns.spools.values())
                    storage = Storage.mapped if size >= MAPPED_BYTES else Storage.compressed
                how = _How(storage, compression_level)
                with Sink(temporary) as sink:
                    with how.open(sink) as file:
                        digest = _write(file, header, tasks, columns, sources, how, sink)
                    sink.check()
                return digest
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
            ) from error


@dataclass(frozen=True)
class _How:
    """How columns are stored."""

    storage: Storage
    compression_level: int

    def open(self, sink: Sink) -> h5py.File:
        # Whole pages, so that a mapping starts where the column does and numbers lie where they should.
        page = 4096 if self.storage is Storage.mapped else 1
        return h5py.File(
            sink, "w", libver=("earliest", "v110"), alignment_threshold=page, alignment_interval=page
        )

    def create(
        self, file: h5py.File, name: str, dtype: np.dtype, shape: tuple[int, ...], *, large: bool
    ) -> h5py.Dataset:
        if large and self.storage is Storage.mapped:
            return file.create_dataset(name, shape=shape, dtype=dtype)
        rows = max(1, _CHUNK_BYTES // (dtype.itemsize * math.prod(shape[1:])))
        return file.create_dataset(
            name,
            shape=shape,
            maxshape=(None, *shape[1:]),
            chunks=(rows, *shape[1:]),
            dtype=dtype,
            compression="gzip",
            compression_opts=self.compression_level,
            shuffle=dtype.itemsize > 1,
        )


@dataclass(frozen=True)
class _Columns:
    """What grows piece by piece, and the names of the pieces."""

    spools: dict[str, Spool]
    chromosomes: list[str]


def _collect(pieces: Iterable[Piece], n_bytes: int, folder: Path, stack: ExitStack) -> _Columns:
    """Take all pieces, one at a time.

    Args:
        n_bytes: of a window's labels.
        folder: where to hold what they hold.
        stack: closes the spools.
    """
    spools = {
        name: stack.enter_context(Spool(folder, NUMBERS[name], n_bytes if name == "labels" else None))
        for name in ("sequence", *WINDOW_COLUMNS, "labels")
    }
    chromosomes: list[str] = []
    n_bases = 0
    for piece in pieces:
        count = len(piece.offset)
        if piece.packed_labels.shape != (count, n_bytes):
            raise ValueError(f"labels of shape {piece.packed_labels.shape}, expected {(count, n_bytes)}")
        spools["sequence"].append(piece.sequence)
        spools["windows/offset"].append(piece.offset + n_bases)
        spools["windows/chromosome"].append(np.full(count, len(chromosomes), dtype=np.uint16))
        spools["windows/start"].append(piece.start)
        spools["windows/split"].append(piece.split)
        spools["labels"].append(piece.packed_labels)
        chromosomes.append(piece.chromosome)
        if len(chromosomes) > np.iinfo(np.uint16).max:
            raise UserError(
                f"more than {np.iinfo(np.uint16).max:,} chromosomes or contigs have windows; keep the "
                "longest in the FASTA"
            )
        n_bases += len(piece.sequence)
    if not len(spools["windows/offset"]):
        raise UserError("no windows to write; check that the peak files and the FASTA are of the same genome")
    return _Columns(spools, chromosomes)


def _small_columns(
    tasks: TaskTable, chromosomes: Sequence[str], sources: Sequence[Source]
) -> dict[str, np.ndarray]:
    small: dict[str, np.ndarray] = {"chromosomes": to_fixed(chromosomes)}
    small |= {f"tasks/{column}": to_fixed(getattr(tasks, column)) for column in TASK_TEXT}
    small["tasks/selects_bins"] = tasks.selects_bins.astype(np.uint8)
    small["tasks/n_peaks"] = tasks.n_peaks
    small |= {f"{REFERENCE_GROUP}/{name}": scores.astype("<f8") for name, scores in tasks.reference.items()}
    small["sources/name"] = to_fixed(source.name for source in sources)
    small["sources/sha256"] = to_fixed(source.sha256 for source in sources)
    small["sources/bytes"] = np.array([source.n_bytes for source in sources], dtype=np.int64)
    return {name: values.astype(NUMBERS.get(name, values.dtype)) for name, values in small.items()}


def _write(
    file: h5py.File,
    header: Header,
    tasks: TaskTable,
    columns: _Columns,
    sources: Sequence[Source],
    how: _How,
    sink: Sink,
) -> str:
    described = []
    for name, spool in columns.spools.items():
        stored = how.create(file, name, spool.dtype, spool.shape, large=True)
        first = 0
        for block in spool.blocks():
            stored[first : first + len(block)] = block
            first += len(block)
            sink.check()
        described.append(_digested(stored, spool.digest()))
    file.require_group(REFERENCE_GROUP)
    for name, values in _small_columns(tasks, columns.chromosomes, sources).items():
        stored = how.create(file, name, values.dtype, values.shape, large=False)
        stored[...] = values
        described.append(_digested(stored, hashlib.sha256(values.data).hexdigest()))

    recipe = json.dumps(header.recipe, sort_keys=True)
    digest = content_digest(header.genome_build, header.window_bp, header.bin_bp, recipe, described)
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["genome_build"] = header.genome_build
    file.attrs["window_bp"] = header.window_bp
    file.attrs["bin_bp"] = header.bin_bp
    file.attrs["recipe"] = recipe
    file.attrs["content_digest"] = digest
    file.attrs["created_with"] = f"genome-lm {genome_lm.__version__}"
    return digest


def _digested(stored: h5py.Dataset, digest: str) -> tuple[str, np.dtype, tuple[int, ...], str]:
    """Write a column's digest beside it; what `content_digest` takes of it."""
    stored.attrs["sha256"] = digest
    return stored.name.removeprefix("/"), stored.dtype, stored.shape, digest
