"""DeepSEA's one-hot bases and 0/1 labels to base codes and label bits, the samples on the last axis."""

import numpy as np

from genome_lm.errors import UserError

CHANNELS = "AGCT"
"""What the four channels stand for, in DeepSEA's order."""


def to_codes(onehot: np.ndarray, position: int, sample: int, where: str) -> np.ndarray:
    """Base codes, uint8 [positions, samples]: A0 C1 G2 T3, and N4 where no channel is set.

    Args:
        onehot: [positions, 4, samples] of any numeric type, channels as in `CHANNELS`.
        position, sample: what the first position and sample are numbered in the file.
        where: the file and its variable, for the message.

    Raises:
        UserError: a value other than 0 and 1, or two channels set at one position; names the sample.
    """
    ones, wrong = _ones(onehot)
    a, g, c, t = (ones[:, channel] for channel in range(len(CHANNELS)))
    wrong = wrong.any(axis=1) | (a + g + c + t > 1)
    if wrong.any():
        at, which = np.argwhere(wrong)[0]
        found = ", ".join(f"{base}={onehot[at, i, which]:g}" for i, base in enumerate(CHANNELS))
        raise UserError(
            f"{where}: sample {sample + which}, position {position + at}: {found}; expected 1 in at most one "
            "of the four channels and 0 elsewhere (samples and positions from 0)"
        )
    # One of them is set, or none: A takes 4 to 0, G to 2, C to 1, T to 3.
    return 4 - 4 * a - 2 * g - 3 * c - t


def pack(labels: np.ndarray, task: int, sample: int, packed: np.ndarray, where: str) -> None:
    """Set the bits of some tasks, lowest bit first.

    Args:
        labels: [tasks, samples] of any numeric type.
        task, sample: what the first task and sample are numbered in the file.
        packed: uint8 [ceil(n_tasks / 8), samples], zero where the tasks' bits go; changed in place.
        where: the file and its variable, for the message.

    Raises:
        UserError: a value other than 0 and 1; names the sample and the task.
    """
    ones, wrong = _ones(labels)
    if wrong.any():
        at, which = np.argwhere(wrong)[0]
        raise UserError(
            f"{where}: sample {sample + which}, task {task + at}: label {labels[at, which]:g}; expected 0 or "
            "1 (samples and tasks from 0)"
        )
    for index, row in enumerate(ones, start=task):
        packed[index >> 3] |= row << np.uint8(index & 7)


def _ones(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`values` as uint8, and where they are neither 0 nor 1, bool."""
    if values.dtype == np.uint8:
        return values, values > 1
    ones = values == 1
    return ones.view(np.uint8), ~(ones | (values == 0))
