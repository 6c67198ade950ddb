"""The samples of one of DeepSEA's files, whichever MATLAB format it has."""

from abc import ABC, abstractmethod

import numpy as np

from genome_lm.dataset.deepsea.onehot import CHANNELS
from genome_lm.errors import UserError


class Samples(ABC):
    """Samples of a file, numbered from 0; the sample axis is the last, as both formats store them.

    `where` is the file and its variables, for messages; `block` how many samples it is best to ask for.
    """

    where: str
    n_samples: int
    window_bp: int
    n_tasks: int
    block: int

    @abstractmethod
    def codes(self, first: int, last: int) -> np.ndarray:
        """Base codes of samples `first` to `last` - 1, uint8 [window_bp, samples].

        Raises:
            UserError: what the file holds is no one-hot sequence, or it is damaged.
        """

    @abstractmethod
    def labels(self, first: int, last: int) -> np.ndarray:
        """Label bits of samples `first` to `last` - 1, lowest bit first, uint8 [ceil(n_tasks / 8), samples].

        Raises:
            UserError: a label is neither 0 nor 1, or the file is damaged.
        """

    def take_shape(self, onehot: tuple[int, ...], labels: tuple[int, ...]) -> None:
        """Learn the numbers from shapes with the samples last, [window_bp, 4, samples] and [tasks, samples].

        Raises:
            UserError: they are not of this form, or do not agree.
        """
        if len(onehot) != 3 or onehot[1] != len(CHANNELS) or len(labels) != 2 or not min(*onehot, *labels):
            raise UserError(
                f"{self.where}: shapes {shown(onehot[::-1])} and {shown(labels[::-1])}; expected "
                f"samples x {len(CHANNELS)} x bases and samples x tasks"
            )
        if onehot[2] != labels[1]:
            raise UserError(
                f"{self.where}: {onehot[2]:,} samples with sequences and {labels[1]:,} with labels; expected "
                "as many"
            )
        self.window_bp, _, self.n_samples = onehot
        self.n_tasks = labels[0]


def variables(split: str) -> tuple[str, str]:
    """Names of the sequences and of the labels in the file of a split."""
    return f"{split}xdata", f"{split}data"


def shown(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape) or "a single value"
