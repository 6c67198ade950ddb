"""The HDF5 layout of a dataset file: names, types, and the digest over its contents.

    /                     attributes: format, format_version, genome_build, window_bp, bin_bp, recipe (JSON),
                          content_digest, created_with
    /sequence             uint8 [n_bases]       base codes A0 C1 G2 T3 N4, every base once
    /chromosomes          string [n_chromosomes]
    /windows/offset       int64 [n_windows]     first base of the window in /sequence
    /windows/chromosome   uint16 [n_windows]    index into /chromosomes
    /windows/start        int64 [n_windows]     genome coordinate of the window's first base, 0-based
    /windows/split        uint8 [n_windows]     0 train, 1 valid, 2 test
    /labels               uint8 [n_windows, ceil(n_tasks / 8)], lowest bit first, padding bits zero
    /tasks/...            id, cell, target, treatment, group, source_file, accession: string [n_tasks];
                          selects_bins uint8, n_peaks int64; reference/<name> float64, NaN where unknown
    /sources/...          name, sha256: string [n_sources]; bytes int64

Strings are UTF-8 of fixed length, padded with zero bytes. Each dataset has an attribute `sha256` over its
bytes (C order, little-endian); `content_digest` is taken over the attributes and over name, type, shape and
digest of every dataset, so that it depends on the contents and not on compression or on the program's
version.
"""

import hashlib
import json
from collections.abc import Iterable

import numpy as np

FORMAT = "genome_lm dataset"
FORMAT_VERSION = 1

TASK_TEXT = ("id", "cell", "target", "treatment", "group", "source_file", "accession")

WINDOW_COLUMNS: dict[str, np.dtype] = {
    "windows/offset": np.dtype("<i8"),
    "windows/chromosome": np.dtype("<u2"),
    "windows/start": np.dtype("<i8"),
    "windows/split": np.dtype("u1"),
}

NUMBERS: dict[str, np.dtype] = {
    "sequence": np.dtype("u1"),
    **WINDOW_COLUMNS,
    "labels": np.dtype("u1"),
    "tasks/selects_bins": np.dtype("u1"),
    "tasks/n_peaks": np.dtype("<i8"),
    "sources/bytes": np.dtype("<i8"),
}

TEXTS = ("chromosomes", *(f"tasks/{column}" for column in TASK_TEXT), "sources/name", "sources/sha256")

REFERENCE_GROUP = "tasks/reference"


def content_digest(
    genome_build: str,
    window_bp: int,
    bin_bp: int,
    recipe: str,
    datasets: Iterable[tuple[str, np.dtype, tuple[int, ...], str]],
) -> str:
    """Digest of a file's contents, "sha256:" and 64 hexadecimal digits.

    Args:
        recipe: the JSON text as stored.
        datasets: name, type, shape and SHA-256 (hexadecimal) of each dataset; the order given does not
        matter.
    """
    rows = [[name, dtype.str, list(shape), digest] for name, dtype, shape, digest in sorted(datasets)]
    text = json.dumps([FORMAT_VERSION, genome_build, window_bp, bin_bp, recipe, rows])
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def to_fixed(texts: Iterable[str]) -> np.ndarray:
    """UTF-8 bytes of fixed length, `S<n>` [len(texts)], n at least 1."""
    encoded = [text.encode() for text in texts]
    return np.array(encoded, dtype=f"S{max([1, *map(len, encoded)])}")
