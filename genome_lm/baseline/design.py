"""A feature matrix shared by all tasks: standardised, with the principal axes in which every task is easy."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genome_lm.baseline.products import map_rows, multiply, row_blocks
from genome_lm.errors import UserError

IN_MEMORY_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each feature over the training windows, float64 [n_features].

    A feature that never varies has scale 1, so that its standardised value is zero.
    """

    mean: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True)
class Design:
    """Standardised training features X [n_rows, n_features] and their principal axes.

    With X^T X = V diag(eigenvalues) V^T, the rotated features are Z = X V. The L2 penalty does not change
    under a rotation, so fits in Z and in X are the same fits. Null directions, on which every window has the
    same value, are left out of V: their weight at the optimum is exactly zero. Z itself is never formed,
    X V w being cheaper as X (V w).
    """

    features: Tensor
    """X where it fits into memory, otherwise as given (counts in their integer type); on the fit's device."""
    standardised: bool
    """Whether `features` is X already."""
    mean: Tensor
    scale: Tensor
    rotation: Tensor
    """V, float64 [n_features, rank]."""
    eigenvalues: Tensor
    """float64 [rank], descending, all positive."""
    dtype: torch.dtype
    """Of the products that run over windows: float32 or float64."""
    threads: int
    """That blocks of rows are shared out among; 1 unless on the CPU."""

    @property
    def n_rows(self) -> int:
        return self.features.shape[0]

    @property
    def rank(self) -> int:
        return self.rotation.shape[1]

    def rows(self, block: slice) -> Tensor:
        """Some rows of X, `dtype` [len(block), n_features]."""
        if self.standardised:
            return self.features[block]
        return _standardised(self.features[block], self.mean, self.scale, self.dtype)


def measure_scaling(features: np.ndarray) -> Scaling:
    """Mean and standard deviation of each column of `features`, real [n_rows, n_features], in float64.

    Raises:
        UserError: there are no rows or no columns, or a value is not finite.
    """
    if features.ndim != 2 or 0 in features.shape:
        raise UserError(f"features of shape {features.shape}; expected at least one window and one feature")
    if not all(np.isfinite(features[block]).all() for block in row_blocks(len(features))):
        raise UserError("the features hold NaN or infinite values; expected finite numbers")
    total = np.zeros(features.shape[1])
    for block in row_blocks(len(features)):
        total += features[block].sum(axis=0, dtype=np.float64)
    mean = total / len(features)
    squares = np.zeros_like(mean)
    for block in row_blocks(len(features)):
        squares += np.square(features[block] - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(features))
    varies = deviation > 1e-9 * np.maximum(1.0, np.abs(mean))
    return Scaling(mean=mean, scale=np.where(varies, deviation, 1.0))


def make_design(
    features: np.ndarray,
    scaling: Scaling,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    threads: int = 1,
) -> Design:
    """Place `features`, real [n_rows, n_features], on `device` and diagonalise X^T X.

    `threads` are those of `genome_lm.threads.single_threaded_libraries`.

    X^T X is summed, and its eigenvectors computed, in float64. An eigenvalue below 1e-12 of the largest is
    the rounding error of that sum and marks a null direction.
    """
    placed = torch.from_numpy(features).to(device)
    mean = torch.from_numpy(scaling.mean).to(device)
    scale = torch.from_numpy(scaling.scale).to(device)
    n_rows, n_features = features.shape
    threads = threads if device.type == "cpu" else 1

    def gram_of(block: slice) -> Tensor:
        values = _standardised(placed[block], mean, scale, torch.float64)
        return multiply(values.T, values)

    gram = torch.zeros(n_features, n_features, dtype=torch.float64, device=device)
    for some in map_rows(gram_of, n_rows, threads):
        gram += some
    eigenvalues, vectors = torch.linalg.eigh(gram)
    keep = eigenvalues > 1e-12 * eigenvalues[-1]
    standardise_now = n_rows * n_features * dtype.itemsize <= IN_MEMORY_BYTES
    if standardise_now:
        whole = torch.empty(n_rows, n_features, dtype=dtype, device=device)

        def fill(block: slice) -> None:
            whole[block] = _standardised(placed[block], mean, scale, dtype)

        for _ in map_rows(fill, n_rows, threads):
            pass
    return Design(
        features=whole if standardise_now else placed,
        standardised=standardise_now,
        mean=mean,
        scale=scale,
        rotation=vectors[:, keep].flip(1).contiguous(),
        eigenvalues=eigenvalues[keep].flip(0).contiguous(),
        dtype=dtype,
        threads=threads,
    )


def linear_scores(
    features: np.ndarray,
    scaling: Scaling,
    coefficients: np.ndarray,
    intercepts: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """Logits, float32 [n_rows, n_tasks].

    Args:
        features: real [n_rows, n_features], not standardised.
        coefficients: of standardised features, float [n_features, n_tasks].
        intercepts: float [n_tasks].
    """
    weights = torch.from_numpy(coefficients).to(device, torch.float32)
    offset = torch.from_numpy(intercepts).to(device, torch.float32)
    mean = torch.from_numpy(scaling.mean).to(device)
    scale = torch.from_numpy(scaling.scale).to(device)
    scores = np.empty((len(features), len(intercepts)), dtype=np.float32)
    for block in row_blocks(len(features)):
        values = _standardised(torch.from_numpy(features[block]).to(device), mean, scale, torch.float32)
        scores[block] = (multiply(values, weights) + offset).cpu().numpy()
    return scores


def _standardised(features: Tensor, mean: Tensor, scale: Tensor, dtype: torch.dtype) -> Tensor:
    return (features.to(dtype) - mean.to(dtype)).div_(scale.to(dtype))
