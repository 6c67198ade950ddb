"""A batch of windows, and the plan that says which windows it holds and how each is read."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor


class Batch(NamedTuple):
    """One batch: base codes, uint8 [batch, context_bp]; labels, uint8 [batch, n_tasks]; and the windows'
    indices in the dataset, int64 [batch]."""

    codes: Tensor
    labels: Tensor
    window: Tensor


@dataclass(frozen=True)
class Plan:
    """Which windows a batch holds and how each is augmented; arrays of the batch's length."""

    window: np.ndarray  # int64 dataset indices
    shift: np.ndarray  # int64 bp
    flip: np.ndarray  # bool: read as the reverse complement
