"""L2 logistic regression of all tasks at once, to scikit-learn's optimum."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genome_lm.baseline.design import Design, Scaling, make_design, measure_scaling
from genome_lm.baseline.solver import SolverState, initial_state, minimise, state_at
from genome_lm.errors import UserError
from genome_lm.threads import single_threaded_libraries

LOGIT_BYTES = 768 * 2**20
"""Bounds the tasks solved together: signs, margins, moves and copies take six times n_rows x n_tasks."""


@dataclass(frozen=True)
class LogisticFit:
    """One logistic regression a task. Arrays are float64 [n_tasks] unless stated.

    Raw features x give the logits `(x - scaling.mean) / scaling.scale @ coefficients + intercepts`.
    """

    coefficients: np.ndarray
    """Of the standardised features, float64 [n_features, n_tasks]."""
    intercepts: np.ndarray
    scaling: Scaling
    penalty: np.ndarray
    """scikit-learn's C: the smaller, the stronger the penalty."""
    objective: np.ndarray
    """C * sum of the cross-entropies (nats) + |coefficients|^2 / 2, where the fit ended."""
    gradient_norm: np.ndarray
    """Euclidean norm of the objective's gradient by coefficients and intercept, where the fit ended."""
    relative_gradient_norm: np.ndarray
    """The same, divided by the norm at zero coefficients and the prior's intercept."""
    iterations: np.ndarray
    """int64."""
    converged: np.ndarray
    """bool: estimated (objective - minimum) / objective within the tolerance."""
    single_class: np.ndarray
    """bool: all labels equal, so there is no finite optimum. Coefficients are 0, the intercept is the log
    odds of (positives + 1/2) / (windows + 1), and `converged` is False."""


def fit_logistic(
    features: np.ndarray,
    labels: np.ndarray,
    penalty: float | np.ndarray,
    *,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> LogisticFit:
    """Minimise C * sum_i cross_entropy_i + |w|^2 / 2 for every task, the intercept not penalised.

    The objective and its optimum are those of scikit-learn's `LogisticRegression(C=C)` on standardised
    features; see `genome_lm.baseline.solver` for the method.

    Args:
        features: real [n_rows, n_features], not standardised.
        labels: 0 or 1, [n_rows, n_tasks].
        penalty: C, one for all tasks or [n_tasks], positive.
        tolerance: on the estimated relative distance of each objective from its minimum. Below about 1e-7 the
            rounding of float32 products decides, and `dtype` should be float64.
        device: CPU when None.
        dtype: of the products that run over rows.

    Raises:
        UserError: shapes that do not match, features that are not finite, labels other than 0 and 1, or a C
            that is not positive and finite.
    """
    n_tasks = labels.shape[1] if labels.ndim == 2 else 0
    if n_tasks == 0 or len(labels) != len(features):
        raise UserError(
            f"labels of shape {labels.shape} for {len(features)} windows; expected [n_windows, n_tasks]"
        )
    if labels.max(initial=0) > 1 or labels.min(initial=0) < 0:
        raise UserError("labels other than 0 and 1; expected binary labels")
    penalties = np.broadcast_to(np.asarray(penalty, dtype=np.float64), (n_tasks,))
    if not (np.isfinite(penalties).all() and (penalties > 0).all()):
        raise UserError(
            f"C = {penalties[~(penalties > 0) | np.isinf(penalties)][0]}; expected positive, finite numbers"
        )
    scaling = measure_scaling(features)
    with single_threaded_libraries() as threads:
        design = make_design(features, scaling, device or torch.device("cpu"), dtype, threads)
        return solve_tasks(design, scaling, labels, penalties, None, tolerance, max_iterations)


def solve_tasks(
    design: Design,
    scaling: Scaling,
    labels: np.ndarray,
    penalty: np.ndarray,
    start: Tensor | None,
    tolerance: float,
    max_iterations: int,
) -> LogisticFit:
    """`fit_logistic` on features that are placed already, in blocks of tasks that bound the memory.

    Args:
        design, scaling: of the features, from `make_design`.
        labels: 0 or 1, [n_rows, n_tasks].
        penalty: C, float64 [n_tasks].
        start: rotated weights, float64 [rank + 1, n_tasks]; None starts at the prior.
    """
    n_rows, n_tasks = labels.shape
    single = single_class(labels)
    device = design.eigenvalues.device
    weights = torch.zeros(design.rank + 1, n_tasks, dtype=torch.float64, device=device)
    objective, gradient, first = np.zeros(n_tasks), np.zeros(n_tasks), np.zeros(n_tasks)
    iterations, converged = np.zeros(n_tasks, dtype=np.int64), np.zeros(n_tasks, dtype=bool)
    for tasks in task_blocks(np.arange(n_tasks), n_rows, design.dtype):
        signs = place_signs(labels, tasks, design)
        c = torch.from_numpy(penalty[tasks]).to(device)
        state = initial_state(design, signs)
        first[tasks] = _gradient_norm(state, c)
        solvable = torch.from_numpy(np.flatnonzero(~single[tasks])).to(device)
        part = state.select(solvable)
        if start is not None:
            part = state_at(design, signs[:, solvable], start[:, tasks].index_select(1, solvable))
        progress = minimise(design, signs[:, solvable], c[solvable], part, tolerance, max_iterations)
        solved = tasks[solvable.cpu().numpy()]
        iterations[solved], converged[solved] = progress.iterations.cpu(), progress.converged.cpu()
        state.put(solvable, part)
        weights[:, tasks] = state.weights
        objective[tasks] = state.objective(c).cpu()
        gradient[tasks] = _gradient_norm(state, c)
    return LogisticFit(
        coefficients=(design.rotation @ weights[:-1]).cpu().numpy(),
        intercepts=weights[-1].cpu().numpy().copy(),
        scaling=scaling,
        penalty=np.array(penalty, dtype=np.float64),
        objective=objective,
        gradient_norm=gradient,
        relative_gradient_norm=gradient / np.maximum(first, np.finfo(np.float64).tiny),
        iterations=iterations,
        converged=converged,
        single_class=single,
    )


def single_class(labels: np.ndarray) -> np.ndarray:
    """Which tasks, bool [n_tasks], have no positives or no negatives."""
    positives = labels.sum(axis=0, dtype=np.int64)
    return (positives == 0) | (positives == len(labels))


def task_blocks(tasks: np.ndarray, n_rows: int, dtype: torch.dtype) -> list[np.ndarray]:
    """`tasks` in runs that keep what is held per window and task within `LOGIT_BYTES`."""
    size = max(1, LOGIT_BYTES // (6 * n_rows * dtype.itemsize))
    return [tasks[start : start + size] for start in range(0, len(tasks), size)]


def place_signs(labels: np.ndarray, tasks: np.ndarray, design: Design) -> Tensor:
    """1 - 2 y of the labels of `tasks`, [n_rows, len(tasks)], in the design's dtype and on its device."""
    chosen = torch.from_numpy(np.ascontiguousarray(labels[:, tasks], dtype=np.uint8))
    return chosen.to(design.eigenvalues.device, design.dtype).mul_(-2).add_(1)


def _gradient_norm(state: SolverState, penalty: Tensor) -> np.ndarray:
    # A rotation keeps the norm, and along the null directions left out the gradient is zero: this is the norm
    # by the standardised features' coefficients.
    return state.gradient(penalty).norm(dim=0).cpu().numpy()
