"""The baseline from a dataset to logits: count, standardise on train, choose C on validation, fit."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from genome_lm.baseline.cache import cache_key, load_fit, store_fit
from genome_lm.baseline.design import linear_scores, make_design, measure_scaling
from genome_lm.baseline.kmers import Strands, count_kmers, n_features
from genome_lm.baseline.logistic import solve_tasks
from genome_lm.baseline.penalty import DEFAULT_GRID, POSTER_PENALTY, follow_path
from genome_lm.baseline.result import BaselineFit, ContextComparison
from genome_lm.choices import PenaltyChoice
from genome_lm.dataset.format import SPLITS, Dataset
from genome_lm.errors import UserError
from genome_lm.metrics.cross_entropy import binary_cross_entropy_per_task
from genome_lm.threads import single_threaded_libraries

logger = logging.getLogger(__name__)

SOLVER_VERSION = 1
"""Part of the cache's key: raise it when the same settings give other logits than before."""

WINDOWS_PER_BLOCK = 8192


@dataclass(frozen=True)
class FitSettings:
    """How a baseline is fitted."""

    choice: PenaltyChoice = PenaltyChoice.per_task
    strands: Strands = Strands.FORWARD
    penalties: tuple[float, ...] = DEFAULT_GRID
    """Values of C to choose from, ascending; not used under `PenaltyChoice.poster`."""
    tolerance: float = 1e-6
    """On the estimated relative distance of the final objective from its minimum."""
    path_tolerance: float = 1e-5
    """The same while C is being chosen."""
    max_iterations: int = 200

    def __post_init__(self) -> None:
        grid = np.asarray(self.penalties, dtype=np.float64)
        if grid.size == 0 or not np.isfinite(grid).all() or (grid <= 0).any() or (np.diff(grid) <= 0).any():
            raise UserError(
                f"penalties {list(self.penalties)}; expected positive values of C in ascending order"
            )
        if not (0 < self.tolerance < 1 and 0 < self.path_tolerance < 1):
            raise UserError(
                f"tolerance {self.tolerance}, path_tolerance {self.path_tolerance}; expected between 0 and 1"
            )
        if self.max_iterations < 1:
            raise UserError(f"max_iterations {self.max_iterations}; expected at least 1")


def fit_baseline(
    dataset: Dataset,
    tasks: np.ndarray,
    context_bp: int,
    settings: FitSettings | None = None,
    *,
    device: torch.device | None = None,
    cache: Path | None = None,
) -> BaselineFit:
    """Fit the k-mer logistic regression of `tasks` on the training windows; predict validation and test.

    Args:
        tasks: indices of the tasks, int64.
        context_bp: length of the middle part of each window that is counted.
        device: CPU when None.
        cache: folder of earlier fits, made when missing; None keeps nothing. A fit is found again by the
            dataset's checksum, task ids, context and settings, not by the device.

    Raises:
        UserError: the context does not fit the windows, there are no training or (but under `POSTER`) no
            validation windows, no tasks, or the cache folder cannot be written.
    """
    settings = settings or FitSettings()
    task_ids = tuple(dataset.tasks.id[task] for task in tasks)
    key = cache_key(
        {
            "dataset": dataset.checksum,
            "tasks": task_ids,
            "context_bp": context_bp,
            "settings": asdict(settings),
            "solver": SOLVER_VERSION,
        }
    )
    cached = load_fit(cache, key) if cache else None
    if cached:
        return cached
    with single_threaded_libraries() as threads:
        fit = _fit(dataset, tasks, task_ids, context_bp, settings, device or torch.device("cpu"), threads)
    if cache:
        store_fit(cache, key, fit)
    return fit


def compare_contexts(
    dataset: Dataset,
    tasks: np.ndarray,
    contexts: Sequence[int],
    settings: FitSettings | None = None,
    *,
    device: torch.device | None = None,
    cache: Path | None = None,
) -> ContextComparison:
    """`fit_baseline` at each of `contexts` (bp); the result's `best` is chosen on validation.

    Raises:
        UserError: see `fit_baseline`; or no contexts are given.
    """
    if not contexts:
        raise UserError("no contexts to compare; give at least one length in bp")
    fits = (fit_baseline(dataset, tasks, bp, settings, device=device, cache=cache) for bp in contexts)
    return ContextComparison(tuple(fits))


def count_windows(dataset: Dataset, windows: np.ndarray, context_bp: int, strands: Strands) -> np.ndarray:
    """K-mer counts of the middle `context_bp` of `windows`, integer [n_windows, n_features].

    Bases are gathered block by block, so that only counts are held for all windows.
    """
    counts = count_kmers(dataset.bases(windows[:0], context_bp), strands)
    counts = np.empty((len(windows), n_features(strands)), dtype=counts.dtype)
    for start in range(0, len(windows), WINDOWS_PER_BLOCK):
        block = windows[start : start + WINDOWS_PER_BLOCK]
        counts[start : start + len(block)] = count_kmers(dataset.bases(block, context_bp), strands)
    return counts


def _fit(
    dataset: Dataset,
    tasks: np.ndarray,
    task_ids: tuple[str, ...],
    context_bp: int,
    settings: FitSettings,
    device: torch.device,
    threads: int,
) -> BaselineFit:
    began = time.perf_counter()
    train, valid = dataset.windows_of("train"), dataset.windows_of("valid")
    if not len(tasks) or not len(train):
        raise UserError(
            f"{len(tasks)} tasks on {len(train)} training windows of {dataset.path}; "
            "expected at least one of each"
        )
    choosing = settings.choice is not PenaltyChoice.poster
    if choosing and not len(valid):
        raise UserError(
            f"{dataset.path} has no validation windows to choose the baseline's C on; "
            "prepare it with a validation split"
        )
    counts = count_windows(dataset, train, context_bp, settings.strands)
    scaling = measure_scaling(counts)
    design = make_design(counts, scaling, device, threads=threads)
    labels = dataset.labels(train, tasks)
    scored = np.flatnonzero(dataset.split != SPLITS.index("train"))
    scored_counts = count_windows(dataset, scored, context_bp, settings.strands)
    is_valid = dataset.split[scored] == SPLITS.index("valid")
    valid_labels = dataset.labels(valid, tasks)

    grid: tuple[float, ...] = ()
    start, penalty = None, np.full(len(tasks), POSTER_PENALTY)
    path_cross_entropy = np.empty((0, len(tasks)))
    if choosing:
        grid = settings.penalties
        path = follow_path(
            design,
            scaling,
            labels,
            scored_counts[is_valid],
            valid_labels,
            grid,
            settings.choice,
            settings.path_tolerance,
            settings.max_iterations,
        )
        start, penalty, path_cross_entropy = path.weights, path.penalty, path.cross_entropy
    fit = solve_tasks(design, scaling, labels, penalty, start, settings.tolerance, settings.max_iterations)
    logits = linear_scores(scored_counts, scaling, fit.coefficients, fit.intercepts, device)
    result = BaselineFit(
        dataset_checksum=dataset.checksum,
        task_ids=task_ids,
        context_bp=context_bp,
        strands=settings.strands,
        choice=settings.choice,
        window=scored,
        split=dataset.split[scored],
        logits=logits,
        coefficients=fit.coefficients.astype(np.float32),
        intercepts=fit.intercepts,
        feature_mean=scaling.mean,
        feature_scale=scaling.scale,
        penalty=penalty,
        path_penalties=np.asarray(grid, dtype=np.float64),
        path_cross_entropy=path_cross_entropy,
        valid_cross_entropy=binary_cross_entropy_per_task(logits[is_valid], valid_labels),
        objective=fit.objective,
        gradient_norm=fit.gradient_norm,
        relative_gradient_norm=fit.relative_gradient_norm,
        iterations=fit.iterations,
        converged=fit.converged,
        single_class=fit.single_class,
        seconds=time.perf_counter() - began,
    )
    if result.n_unconverged:
        logger.warning(
            "%s: %d of %d tasks stopped short of the tolerance %g after at most %d iterations; "
            "largest relative gradient norm %.2g",
            result.description,
            result.n_unconverged,
            len(tasks),
            settings.tolerance,
            settings.max_iterations,
            result.relative_gradient_norm[~result.single_class].max(),
        )
    return result
