"""Simulated predictions whose windows resemble their neighbours, for the studies of the bootstrap.

A window's label is 1 where a latent propensity is high: part of it varies smoothly along the genome, part is
the window's own, and all tasks share some of the smooth part. A predictor sees the propensity with an error
that is in part smooth, too. Smooth is an autoregressive process of order 1.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True)
class Genome:
    """What is simulated.

    Attributes:
        n_tasks: tasks, exchangeable.
        rate: share of positives.
        length: windows over which the smooth parts' correlation falls to 1/e.
        noise: size of a predictor's error beside the propensity.
        smooth: share of the variance that is smooth.
        shared: share of the smooth propensity's variance that all tasks have in common.
    """

    n_tasks: int
    rate: float
    length: float = 20.0
    noise: float = 1.0
    smooth: float = 0.4
    shared: float = 0.3

    def draw(
        self, generator: np.random.Generator, n_windows: int, n_predictors: int
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Scores of exchangeable predictors, float32, and labels, uint8, [n_windows, n_tasks] each."""
        own = self._smooth(generator, n_windows, self.n_tasks)
        common = self._smooth(generator, n_windows, 1)
        region = math.sqrt(self.shared) * common + math.sqrt(1 - self.shared) * own
        propensity = self._mixed(region, generator)
        labels = (propensity > NormalDist().inv_cdf(1 - self.rate)).astype(np.uint8)
        scores = []
        for _ in range(n_predictors):
            error = self._mixed(self._smooth(generator, n_windows, self.n_tasks), generator)
            scores.append(propensity + np.float32(self.noise) * error)
        return scores, labels

    def _mixed(self, smooth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        own = generator.standard_normal(smooth.shape, dtype=np.float32)
        return np.float32(math.sqrt(self.smooth)) * smooth + np.float32(math.sqrt(1 - self.smooth)) * own

    def _smooth(self, generator: np.random.Generator, n_windows: int, n_columns: int) -> np.ndarray:
        """Standard normal, float32 [n_windows, n_columns], correlation exp(-distance / length)."""
        keep = np.float32(math.exp(-1 / self.length))
        rows = generator.standard_normal((n_windows, n_columns), dtype=np.float32)
        rows[1:] *= np.sqrt(1 - keep**2)
        for before, row in pairwise(rows):
            row += keep * before
        return rows
