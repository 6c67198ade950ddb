"""A dataset of DeepSEA's shape, made in memory."""

from pathlib import Path

import numpy as np

from genome_lm.dataset.contents import Dataset, TaskTable

N_WORDS = 48
WORD = 4
_BLOCK = 4096


def simulated(
    n_train: int, n_valid: int, window_bp: int, n_tasks: int, *, signal: bool = False, seed: int = 0
) -> Dataset:
    """Windows of random bases, laid end to end, with one label in sixteen or so.

    Args:
        n_train, n_valid: windows.
        window_bp: their length.
        n_tasks: tasks.
        signal: whether labels depend on the bases: each task is more often positive where some of 48 words of
            4 bases are present. Without it labels are drawn bit by bit, which takes no time at 2.2 M windows.
        seed: of everything.
    """
    generator = np.random.default_rng(seed)
    n = n_train + n_valid
    sequence = np.frombuffer(generator.bytes(n * window_bp), dtype=np.uint8) & 3
    width = -(-n_tasks // 8)
    if signal:
        packed = _from_words(sequence.reshape(n, window_bp), n_tasks, generator)
    else:
        packed = np.frombuffer(generator.bytes(n * width), dtype=np.uint8).copy()
        for _ in range(3):  # each halves the rate of positives
            packed &= np.frombuffer(generator.bytes(n * width), dtype=np.uint8)
        packed = packed.reshape(n, width)
        packed[:, -1] &= (1 << ((n_tasks - 1) % 8 + 1)) - 1
    names = tuple(f"task {number}" for number in range(n_tasks))
    empty = ("",) * n_tasks
    start = np.arange(n, dtype=np.int64) * window_bp
    return Dataset(
        path=Path("simulated"),
        genome_build="simulated",
        checksum="",
        window_bp=window_bp,
        bin_bp=min(200, window_bp),
        recipe={},
        sequence=sequence,
        offset=start,
        chromosome=np.zeros(n, dtype=np.uint16),
        chromosomes=("simulated",),
        start=start,
        split=np.repeat(np.array([0, 1], dtype=np.uint8), [n_train, n_valid]),
        packed_labels=packed,
        tasks=TaskTable(
            names, empty, empty, empty, empty, empty, empty, np.ones(n_tasks, dtype=bool),
            np.zeros(n_tasks, dtype=np.int64),
        ),
    )  # fmt: skip


def _from_words(windows: np.ndarray, n_tasks: int, generator: np.random.Generator) -> np.ndarray:
    """Label bits, uint8 [windows, ceil(n_tasks / 8)], lowest bit first."""
    words = generator.choice(4**WORD, N_WORDS, replace=False)
    effect = generator.normal(0, 1.5, (N_WORDS, n_tasks)) * (generator.random((N_WORDS, n_tasks)) < 0.15)
    place = np.full(4**WORD, N_WORDS)
    place[words] = np.arange(N_WORDS)
    rows = []
    for first in range(0, len(windows), _BLOCK):
        block = windows[first : first + _BLOCK].astype(np.int64)
        n_starts = block.shape[1] - WORD + 1
        value = sum(block[:, at : at + n_starts] * 4 ** (WORD - 1 - at) for at in range(WORD))
        present = np.zeros((len(block), N_WORDS + 1))
        np.put_along_axis(present, place[value], 1.0, axis=1)
        logits = (present[:, :-1] - present[:, :-1].mean(0)) @ effect - 3.2
        drawn = generator.random(logits.shape) < 1 / (1 + np.exp(-logits))
        rows.append(np.packbits(drawn, axis=1, bitorder="little"))
    return np.concatenate(rows)
