"""Predictions in the order of the windows, whatever the order of the FASTA."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

_BLOCK_BYTES = 1 << 24


def in_window_order(
    blocks: Iterable[tuple[np.ndarray, np.ndarray]], n_tasks: int, folder: Path
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (number of the first window, logits float32 [block, n_tasks]) without gaps, from window 0 on.

    Blocks that come in order pass through. From the first that does not on, they are laid down in a file
    without a name in `folder`, 4 bytes a window and task, and read back at the end.

    Args:
        blocks: (numbers of windows, int64 [block]; logits, float32 [block, n_tasks]); every window once.
    """
    due = 0
    remaining = iter(blocks)
    for numbers, logits in remaining:
        if numbers[0] != due or (np.diff(numbers) != 1).any():
            yield from _reordered([(numbers, logits)], remaining, due, n_tasks, folder)
            return
        yield due, logits
        due += len(numbers)


def _reordered(
    first: Iterable[tuple[np.ndarray, np.ndarray]],
    rest: Iterable[tuple[np.ndarray, np.ndarray]],
    due: int,
    n_tasks: int,
    folder: Path,
) -> Iterator[tuple[int, np.ndarray]]:
    row_bytes = n_tasks * np.dtype(np.float32).itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        for part in (first, rest):
            for numbers, logits in part:
                runs = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 2) != 1)
                for begin, end in zip(runs, [*runs[1:], len(numbers)], strict=True):
                    file.seek(int(numbers[begin] - due) * row_bytes)
                    file.write(np.ascontiguousarray(logits[begin:end], dtype=np.float32).data)
        file.seek(0)
        rows = max(1, _BLOCK_BYTES // row_bytes)
        while block := file.read(rows * row_bytes):
            logits = np.frombuffer(block, dtype=np.float32).reshape(-1, n_tasks)
            yield due, logits
            due += len(logits)
