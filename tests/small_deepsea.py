"""Small train.mat, valid.mat and test.mat of DeepSEA's layout, written by h5py and SciPy."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from scipy.io import savemat

from genome_lm.dna import N_CODE, reverse_complement

TASKS, WINDOW_BP = 12, 60
CHANNEL_OF_CODE = np.array([0, 2, 1, 3])  # A, C, G, T among A, G, C, T


class Made(NamedTuple):
    """Forward windows, uint8 [n, window_bp], and their labels, uint8 [n, tasks]."""

    codes: np.ndarray
    labels: np.ndarray


def windows(n: int, seed: int, window_bp: int = WINDOW_BP, tasks: int = TASKS) -> Made:
    """Random windows, a few of them with Ns."""
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 4, (n, window_bp), dtype=np.uint8)
    codes[:: max(1, n // 3), : window_bp // 4] = N_CODE
    return Made(codes, (draw.random((n, tasks)) < 0.3).astype(np.uint8))


def onehot(codes: np.ndarray) -> np.ndarray:
    """uint8 [n, 4, window_bp], channels A, G, C, T; N has none."""
    hot = np.zeros((len(codes), 4, codes.shape[1]), dtype=np.uint8)
    sample, position = np.nonzero(codes != N_CODE)
    hot[sample, CHANNEL_OF_CODE[codes[sample, position]], position] = 1
    return hot


def mirrored(made: Made) -> Made:
    """Both strands: the second half mirrors the first."""
    return Made(
        np.concatenate((made.codes, reverse_complement(made.codes))),
        np.concatenate((made.labels, made.labels)),
    )


def write_hdf5(path: Path, split: str, made: Made, dtype: str = "u1", chunks: tuple | None = None) -> None:
    """As MATLAB 7.3 stores it: what h5py sees has the samples on the last axis, behind a block of text."""
    with h5py.File(path, "w", userblock_size=512) as file:
        data = onehot(made.codes).transpose(2, 1, 0).astype(dtype)
        compression = None if chunks is None else "gzip"
        file.create_dataset(f"{split}xdata", data=data, chunks=chunks, compression=compression)
        labels = made.labels.T.astype(dtype)
        file.create_dataset(
            f"{split}data",
            data=labels,
            chunks=None if chunks is None else (min(chunks[0], len(labels)), min(chunks[2], labels.shape[1])),
            compression=compression,
        )
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(128))


def write_mat5(path: Path, split: str, made: Made, dtype: str = "u1", compressed: bool = True) -> None:
    """As SciPy and MATLAB store it before 7.3."""
    arrays = {f"{split}xdata": onehot(made.codes).astype(dtype), f"{split}data": made.labels.astype(dtype)}
    savemat(path, arrays, do_compression=compressed)


def write_three(folder: Path, sizes: tuple[int, int, int] = (40, 10, 14), **shape: int) -> tuple[Made, ...]:
    """All three files, with as many pairs; the forward windows of each."""
    made = tuple(windows(n, seed, **shape) for seed, n in enumerate(sizes))
    write_hdf5(folder / "train.mat", "train", mirrored(made[0]), chunks=(7, 2, 9))
    write_mat5(folder / "valid.mat", "valid", mirrored(made[1]))
    write_mat5(folder / "test.mat", "test", mirrored(made[2]))
    return made


def write_names(path: Path, tasks: int = TASKS) -> Path:
    """A table of names for so many tasks, all but the last two."""
    lines = [f"{index}\ttask{index}\tcell{index % 3}\ttf" for index in range(tasks - 2)]
    path.write_text("\n".join(("index\ttask_id\tcell\tgroup", *lines)) + "\n")
    return path
