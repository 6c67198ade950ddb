"""The penalty's choice: fits along a grid of C, each scored by its cross-entropy on validation."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genome_lm.baseline.design import Design, Scaling, linear_scores
from genome_lm.baseline.logistic import place_signs, single_class, task_blocks
from genome_lm.baseline.solver import SolverState, initial_state, minimise, state_at
from genome_lm.choices import PenaltyChoice
from genome_lm.metrics.cross_entropy import binary_cross_entropy_per_task
from genome_lm.metrics.thresholds import FEW_POSITIVES

logger = logging.getLogger(__name__)

POSTER_PENALTY = 1e6
"""C of the report (Zhang and Kamath, 2016): in effect no penalty."""

DEFAULT_GRID = tuple(float(f"{10 ** (exponent / 2):.3g}") for exponent in range(-12, -1))
"""1e-6 to 1e-1, two a decade. C is the prior variance of a standardised coefficient, so its scale does not
depend on the number of windows: 1e-6 is nearly the positive rate alone, 1e-1 hardly a penalty on 1,364
coefficients."""

PATIENCE = 2


@dataclass(frozen=True)
class PenaltyPath:
    """Chosen penalties, and how each C did on validation."""

    penalty: np.ndarray
    """C, float64 [n_tasks]."""
    cross_entropy: np.ndarray
    """Mean validation cross-entropy in nats, float64 [n_penalties, n_tasks]; NaN where no fit was made."""
    weights: Tensor
    """Rotated weights to start from, float64 [rank + 1, n_tasks]: those of each task's best C."""


@dataclass
class _Block:
    """Tasks that are solved together; `state` is dropped between penalties when there are several blocks."""

    tasks: np.ndarray
    signs: Tensor
    weights: Tensor
    state: SolverState | None


def follow_path(
    design: Design,
    scaling: Scaling,
    labels: np.ndarray,
    valid_features: np.ndarray,
    valid_labels: np.ndarray,
    penalties: tuple[float, ...],
    choice: PenaltyChoice,
    tolerance: float,
    max_iterations: int,
) -> PenaltyPath:
    """Fit along ascending `penalties`, each from the last, until validation has been worse twice running.

    Under `per_task` each task stops by its own cross-entropy, under `overall` all stop by the mean. Tasks
    whose training labels are all equal are fitted nowhere and take the median C.

    Args:
        design, scaling, labels: of the training windows; labels 0 or 1, [n_rows, n_tasks].
        valid_features: not standardised, [n_valid, n_features], n_valid > 0.
        valid_labels: [n_valid, n_tasks].
        penalties: values of C, ascending.
        choice: `per_task` or `overall`.
    """
    n_tasks = labels.shape[1]
    device = design.eigenvalues.device
    fitted = np.flatnonzero(~single_class(labels))
    cross_entropy = np.full((len(penalties), n_tasks), np.nan)
    best = torch.zeros(design.rank + 1, n_tasks, dtype=torch.float64, device=device)
    best_place = np.zeros(n_tasks, dtype=np.int64)
    parts = task_blocks(fitted, design.n_rows, design.dtype)
    blocks = [_begin(design, labels, tasks, keep_state=len(parts) == 1) for tasks in parts]
    overall_best = 0
    for place, c in enumerate(penalties):
        for block in blocks:
            state = block.state or state_at(design, block.signs, block.weights)
            penalty = torch.full((len(block.tasks),), c, dtype=torch.float64, device=device)
            minimise(design, block.signs, penalty, state, tolerance, max_iterations)
            scores = linear_scores(
                valid_features,
                scaling,
                (design.rotation @ state.weights[:-1]).cpu().numpy(),
                state.weights[-1].cpu().numpy(),
                device,
            )
            tasks = block.tasks
            cross_entropy[place, tasks] = binary_cross_entropy_per_task(scores, valid_labels[:, tasks])
            block.weights, block.state = state.weights, state if len(parts) == 1 else None
            if choice is PenaltyChoice.per_task:
                here = cross_entropy[place, tasks]
                better = (
                    here < cross_entropy[best_place[tasks], tasks]
                    if place
                    else np.ones(len(tasks), dtype=bool)
                )
                best_place[tasks[better]] = place
                best[:, tasks[better]] = state.weights[:, torch.from_numpy(better).to(device)]
        if choice is PenaltyChoice.overall:
            mean = cross_entropy[: place + 1, fitted].mean(axis=1)
            if place == 0 or mean[place] < mean[overall_best]:
                overall_best = place
                for block in blocks:
                    best[:, block.tasks] = block.weights
            best_place[:] = overall_best
        active = sum(len(block.tasks) for block in blocks)
        logger.debug("C = %g fitted for %d tasks", c, active)
        blocks = [_unfinished(block, place - best_place < PATIENCE) for block in blocks]
        blocks = [block for block in blocks if len(block.tasks)]
        if not blocks:
            break
    grid = np.asarray(penalties)
    penalty_of = grid[best_place]
    if choice is PenaltyChoice.per_task and len(fitted):
        positives = valid_labels.sum(axis=0, dtype=np.int64)
        few = np.minimum(positives, len(valid_labels) - positives) < FEW_POSITIVES
        few |= single_class(labels)
        sure = ~few if (~few).any() else ~single_class(labels)
        penalty_of[few] = grid[int(np.median(best_place[sure]))]
    return PenaltyPath(penalty=penalty_of, cross_entropy=cross_entropy, weights=best)


def _begin(design: Design, labels: np.ndarray, tasks: np.ndarray, keep_state: bool) -> _Block:
    signs = place_signs(labels, tasks, design)
    state = initial_state(design, signs)
    return _Block(tasks, signs, state.weights, state if keep_state else None)


def _unfinished(block: _Block, going_on: np.ndarray) -> _Block:
    """The block without the tasks that have stopped; `going_on` is bool over all tasks."""
    stay = going_on[block.tasks]
    if stay.all():
        return block
    columns = torch.from_numpy(np.flatnonzero(stay)).to(block.signs.device)
    return _Block(
        tasks=block.tasks[stay],
        signs=block.signs[:, columns],
        weights=block.weights[:, columns],
        state=block.state.select(columns) if block.state else None,
    )
