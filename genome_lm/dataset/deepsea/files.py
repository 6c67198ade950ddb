"""Opening one of DeepSEA's files by what it holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genome_lm.dataset.deepsea.held import HeldSamples
from genome_lm.dataset.deepsea.mat5 import is_mat5
from genome_lm.dataset.deepsea.samples import Samples
from genome_lm.dataset.deepsea.stored import is_hdf5, open_stored
from genome_lm.errors import UserError


@contextmanager
def open_samples(path: Path, split: str) -> Iterator[Samples]:
    """The samples of `train.mat`, `valid.mat` or `test.mat`, told apart by content, not by name.

    Raises:
        UserError: the file is missing, of neither format, damaged, or its variables are not those of the
            split; also while samples are read.
    """
    if is_mat5(path):
        yield HeldSamples(path, split)
    elif is_hdf5(path):
        with open_stored(path, split) as samples:
            yield samples
    else:
        raise UserError(
            f"{path} is neither a MATLAB 5 nor a MATLAB 7.3 (HDF5) file; give DeepSEA's {split}.mat, unpacked"
        )
