"""Samples of a MATLAB 5 file, such as valid.mat and test.mat."""

from pathlib import Path

import numpy as np

from genome_lm.dataset.deepsea.mat5 import Array, arrays
from genome_lm.dataset.deepsea.onehot import CHANNELS, pack, to_codes
from genome_lm.dataset.deepsea.samples import Samples, shown, variables
from genome_lm.errors import UserError

_VALUES_AT_ONCE = 1 << 24
_BLOCK = 1 << 16


class HeldSamples(Samples):
    """Samples of a MATLAB 5 file, held as base codes and label bits: a byte a base.

    Such a file is one stream with the samples along its rows, so that no part of the samples can be read
    alone. The format ends at 4 GiB a variable, which makes at most 1.1 GB of codes; test.mat has 0.46 GB.
    """

    def __init__(self, path: Path, split: str) -> None:
        onehot_name, labels_name = names = variables(split)
        self.where = f"{path} ({onehot_name}, {labels_name})"
        shapes: dict[str, tuple[int, ...]] = {}
        with arrays(path, names) as found:
            for array in found:
                if array.name in shapes:
                    raise UserError(f"{path}: {array.name} is there twice; copy or download the file again")
                shapes[array.name] = array.shape[::-1]
                if array.name == onehot_name:
                    self._codes = self._read_codes(array)
                else:
                    self._labels = self._read_labels(array)
                array.finish()
        missing = [name for name in names if name not in shapes]
        if missing:
            raise UserError(f"{path}: no variable {' and '.join(missing)}; expected DeepSEA's {split}.mat")
        self.take_shape(shapes[onehot_name], shapes[labels_name])
        self.block = min(self.n_samples, _BLOCK)

    def codes(self, first: int, last: int) -> np.ndarray:
        return self._codes[:, first:last]

    def labels(self, first: int, last: int) -> np.ndarray:
        return self._labels[:, first:last]

    def _read_codes(self, array: Array) -> np.ndarray:
        if len(array.shape) != 3 or array.shape[1] != len(CHANNELS):
            raise UserError(
                f"{self.where}: {array.name} is {shown(array.shape)}; expected samples x {len(CHANNELS)} x "
                "bases"
            )
        n_samples, n_channels, window_bp = array.shape
        codes = np.empty((window_bp, n_samples), dtype=np.uint8)
        at_once = max(1, _VALUES_AT_ONCE // (n_channels * n_samples))
        for first in range(0, window_bp, at_once):
            last = min(first + at_once, window_bp)
            values = array.read((last - first) * n_channels * n_samples)
            codes[first:last] = to_codes(values.reshape(-1, n_channels, n_samples), first, 0, self.where)
        return codes

    def _read_labels(self, array: Array) -> np.ndarray:
        if len(array.shape) != 2:
            raise UserError(f"{self.where}: {array.name} is {shown(array.shape)}; expected samples x tasks")
        n_samples, n_tasks = array.shape
        packed = np.zeros((-(-n_tasks // 8), n_samples), dtype=np.uint8)
        at_once = max(1, _VALUES_AT_ONCE // n_samples)
        for first in range(0, n_tasks, at_once):
            last = min(first + at_once, n_tasks)
            values = array.read((last - first) * n_samples)
            pack(values.reshape(-1, n_samples), first, 0, packed, self.where)
        return packed
