"""A part of the training windows, to see what a model makes of fewer labels."""

import math

import numpy as np

from genome_lm.dataset.contents import Dataset
from genome_lm.errors import UserError

_STREAM = 7_451
"""Sets the draw apart from others with the same seed."""


def training_windows(dataset: Dataset, fraction: float = 1.0, seed: int = 0) -> np.ndarray:
    """Indices of `fraction` of the training windows, rounded up, int64, in dataset order.

    The windows of a fraction are among those of every larger one with the same seed.

    Raises:
        UserError: the fraction is not more than 0 and at most 1.
    """
    if not 0 < fraction <= 1:
        raise UserError(f"data.train_fraction is {fraction}; expected more than 0 and at most 1")
    windows = dataset.windows_of("train")
    if fraction == 1:
        return windows
    kept = math.ceil(fraction * len(windows))
    return np.sort(np.random.default_rng([seed, _STREAM]).permutation(windows)[:kept])


def rate_among(dataset: Dataset, windows: np.ndarray) -> np.ndarray:
    """Share of positives of each task among `windows`, float64 [n_tasks], to start a network from.

    A task without positives (or negatives) among them counts half of one: that few windows have none does not
    make it impossible.
    """
    positives = dataset.positives(windows)
    return np.clip(positives, 0.5, len(windows) - 0.5) / len(windows)
