"""Batched preconditioned L-BFGS: one logistic regression a column, all columns in the same matrix products.

The objective of each task is scikit-learn's, C * sum_i log(1 + exp(-(2 y_i - 1) u_i)) + |w|^2 / 2 with
u = X V w + b and b unpenalised. In the basis V its Hessian is near diag(C s eigenvalues + 1), with s the mean
of p (1 - p): the preconditioner, in place of the multiple of the identity that L-BFGS starts from (Nocedal
and Wright, Numerical Optimization, 2nd edition, algorithm 7.4). Logits are linear along a step, so that the
line search, which meets the strong Wolfe conditions task by task, needs no matrix product: an iteration costs
two, one for the logits of the direction and one for the gradient.

Labels come as signs, 1 - 2 y: -1 for a positive, +1 for a negative, [n_rows, n_tasks] in the design's dtype.
The margin sign * u is the logit of missing the label: the loss is softplus(margin), and sigmoid(margin) keeps
its relative precision where p is next to 0 or 1, which p - y does not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from genome_lm.baseline.design import Design
from genome_lm.baseline.products import map_rows, multiply

MEMORY = 10
SUFFICIENT_DECREASE = 1e-4
SLOPE_REDUCTION = 0.25
LINE_SEARCH_TRIALS = 20
DROP_SHARE = 0.05


@dataclass
class SolverState:
    """Where the tasks of a batch stand. The last row of [rank + 1, n_tasks] belongs to the intercept."""

    weights: Tensor
    """float64 [rank + 1, n_tasks]."""
    margins: Tensor
    """[n_rows, n_tasks], in the design's dtype."""
    loss: Tensor
    """Sum over windows of the cross-entropy, float64 [n_tasks]."""
    loss_gradient: Tensor
    """float64 [rank + 1, n_tasks]."""
    curvature: Tensor
    """Mean over windows of p (1 - p), float64 [n_tasks]."""

    def select(self, tasks: Tensor) -> "SolverState":
        """Copies of some columns."""
        return SolverState(
            weights=self.weights[:, tasks],
            margins=self.margins[:, tasks],
            loss=self.loss[tasks],
            loss_gradient=self.loss_gradient[:, tasks],
            curvature=self.curvature[tasks],
        )

    def put(self, tasks: Tensor, other: "SolverState") -> None:
        """Overwrite columns `tasks` with those of `other`."""
        self.weights[:, tasks] = other.weights
        self.margins[:, tasks] = other.margins
        self.loss[tasks] = other.loss
        self.loss_gradient[:, tasks] = other.loss_gradient
        self.curvature[tasks] = other.curvature

    def objective(self, penalty: Tensor) -> Tensor:
        """float64 [n_tasks]."""
        return penalty * self.loss + 0.5 * self.weights[:-1].square().sum(dim=0)

    def gradient(self, penalty: Tensor) -> Tensor:
        """float64 [rank + 1, n_tasks]."""
        gradient = penalty * self.loss_gradient
        gradient[:-1] += self.weights[:-1]
        return gradient


@dataclass(frozen=True)
class Progress:
    """What `minimise` did, per task."""

    iterations: Tensor
    """int64 [n_tasks]."""
    converged: Tensor
    """bool [n_tasks]: the estimated relative distance from the minimum is within the tolerance."""


def initial_state(design: Design, signs: Tensor) -> SolverState:
    """Zero weights; intercepts at the log odds of (positives + 1/2) / (rows + 1)."""
    positives = (design.n_rows - signs.sum(dim=0, dtype=torch.float64)) / 2
    rate = (positives + 0.5) / (design.n_rows + 1)
    weights = torch.zeros(design.rank + 1, signs.shape[1], dtype=torch.float64, device=signs.device)
    weights[-1] = torch.log(rate / (1 - rate))
    return _state(design, signs, weights, signs * weights[-1].to(design.dtype))


def state_at(design: Design, signs: Tensor, weights: Tensor) -> SolverState:
    """State of given `weights`, float64 [rank + 1, n_tasks]."""
    return _state(design, signs, weights.clone(), _margins(design, signs, weights))


def _state(design: Design, signs: Tensor, weights: Tensor, margins: Tensor) -> SolverState:
    loss, curvature, gradient = _evaluate(design, signs, margins)
    return SolverState(weights, margins, loss, gradient, curvature)


def minimise(
    design: Design,
    signs: Tensor,
    penalty: Tensor,
    state: SolverState,
    tolerance: float,
    max_iterations: int,
) -> Progress:
    """Carry every task of `state`, in place, to the minimum for its C.

    A task is finished when two estimates of (objective - minimum) / objective are within `tolerance`: half of
    g^T M^-1 g with the preconditioner M, and half of g^T H g with the inverse Hessian H of L-BFGS. It leaves
    the matrix products when a twentieth of the tasks in them have finished. A task whose line search finds no
    decrease has met the rounding error of the products; it stops too, and counts as not converged.

    Args:
        penalty: C, float64 [n_tasks], positive.
    """
    n_tasks = signs.shape[1]
    device = signs.device
    iterations = torch.zeros(n_tasks, dtype=torch.int64, device=device)
    converged = torch.zeros(n_tasks, dtype=torch.bool, device=device)
    eigenvalues = torch.cat([design.eigenvalues, design.eigenvalues.new_tensor([design.n_rows])])[:, None]
    penalised = torch.ones_like(eigenvalues)
    penalised[-1] = 0

    tasks = torch.arange(n_tasks, device=device)
    work, history = state, _History()
    stalled = torch.zeros(n_tasks, dtype=torch.bool, device=device)
    for _ in range(max_iterations + 1):
        objective, gradient = work.objective(penalty), work.gradient(penalty)
        # Held off zero: the intercept has no penalty to keep its entry positive where every p is 0 or 1.
        preconditioner = penalty * work.curvature.clamp_min(1e-12) * eigenvalues + penalised
        direction = history.direction(gradient, preconditioner)
        slope = (gradient * direction).sum(dim=0)
        gap = 0.5 * torch.maximum((gradient.square() / preconditioner).sum(dim=0), slope.abs())
        near = gap <= tolerance * objective
        converged[tasks] = near
        finished = near | stalled
        if bool(finished.all()) or bool((iterations[tasks] >= max_iterations).all()):
            break
        if float(finished.sum()) >= DROP_SHARE * len(tasks):
            if work is not state:
                state.put(tasks, work)
            stay = torch.nonzero(~finished).squeeze(1)
            work, history, tasks = work.select(stay), history.select(stay), tasks[stay]
            signs, penalty, stalled = signs[:, stay], penalty[stay], stalled[stay]
            objective, gradient = objective[stay], gradient[:, stay]
            direction, slope = direction[:, stay], slope[stay]

        moves = _margins(design, signs, direction)
        step = _line_search(penalty, work, objective, direction, slope, moves, design.threads)
        stalled = step == 0
        iterations[tasks] += 1
        moved = step * direction
        work.weights += moved
        work.margins.addcmul_(moves, step.to(design.dtype))
        del moves
        work.loss, work.curvature, work.loss_gradient = _evaluate(design, signs, work.margins)
        history.append(moved, work.gradient(penalty) - gradient)
    if work is not state:
        state.put(tasks, work)
    return Progress(iterations, converged)


class _History:
    """The last steps and changes of gradient, and the L-BFGS direction they give."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []  # step, change, 1 / (step . change) or 0

    def append(self, step: Tensor, change: Tensor) -> None:
        product = (step * change).sum(dim=0)
        # A pair without positive curvature (rounding, or no step at all) is left out by a zero.
        sound = product > 1e-12 * step.norm(dim=0) * change.norm(dim=0)
        self._pairs.append((step, change, torch.where(sound, 1 / product, torch.zeros_like(product))))
        del self._pairs[:-MEMORY]

    def select(self, tasks: Tensor) -> "_History":
        chosen = _History()
        chosen._pairs = [
            (step[:, tasks], change[:, tasks], inverse[tasks]) for step, change, inverse in self._pairs
        ]
        return chosen

    def direction(self, gradient: Tensor, preconditioner: Tensor) -> Tensor:
        """Descent direction, float64 [rank + 1, n_tasks]; preconditioned steepest descent without history."""
        left = gradient.clone()
        weights = []
        for step, change, inverse in reversed(self._pairs):
            weight = inverse * (step * left).sum(dim=0)
            left -= weight * change
            weights.append(weight)
        left /= preconditioner
        if self._pairs:
            _, change, inverse = self._pairs[-1]
            scale = 1 / (inverse * (change.square() / preconditioner).sum(dim=0))
            left *= torch.where(inverse > 0, scale, torch.ones_like(scale))
        for (step, change, inverse), weight in zip(self._pairs, reversed(weights), strict=True):
            left += (weight - inverse * (change * left).sum(dim=0)) * step
        return -left


def _line_search(
    penalty: Tensor,
    state: SolverState,
    objective: Tensor,
    direction: Tensor,
    slope: Tensor,
    moves: Tensor,
    threads: int,
) -> Tensor:
    """Step lengths, float64 [n_tasks]; 0 where no trial lowers the objective.

    The objective is convex along the direction, so the sign of its slope brackets the minimum: secant
    steps, kept inside the bracket, until the strong Wolfe conditions hold.
    """
    cross = (state.weights[:-1] * direction[:-1]).sum(dim=0)
    square = direction[:-1].square().sum(dim=0)
    start = objective - penalty * state.loss
    rounding = 1e-7 * objective if moves.dtype == torch.float32 else 1e-14 * objective
    step = torch.ones_like(objective)
    low, low_slope = torch.zeros_like(step), slope.clone()
    high, high_slope = torch.full_like(step, torch.inf), torch.zeros_like(step)
    open_tasks = torch.arange(len(step), device=step.device)
    margins = state.margins
    for _ in range(LINE_SEARCH_TRIALS):
        trial = step[open_tasks]
        loss, loss_slope = _along(margins, moves, trial, threads)
        c = penalty[open_tasks]
        value = c * loss + start[open_tasks] + trial * cross[open_tasks] + 0.5 * trial**2 * square[open_tasks]
        here = c * loss_slope + cross[open_tasks] + trial * square[open_tasks]
        before, first = objective[open_tasks], slope[open_tasks]
        higher = value > before + SUFFICIENT_DECREASE * trial * first + rounding[open_tasks]
        accepted = ~higher & (here.abs() <= SLOPE_REDUCTION * first.abs())
        beyond = higher | (here > 0)
        left, left_slope = low[open_tasks], low_slope[open_tasks]
        right, right_slope = high[open_tasks], high_slope[open_tasks]
        right, right_slope = torch.where(beyond, trial, right), torch.where(beyond, here, right_slope)
        growth = (here / (left_slope - here)).clamp(0.5, 9.0)
        grown = trial + (trial - left) * torch.where(torch.isfinite(growth), growth, 9.0)
        left, left_slope = torch.where(beyond, left, trial), torch.where(beyond, left_slope, here)
        share = (left_slope / (left_slope - right_slope)).clamp(0.1, 0.9)
        # A trial that is too high although its slope is still negative can only be rounding: halve.
        share = torch.where(right_slope > 0, share, 0.5)
        inside = left + (right - left) * share
        low[open_tasks], low_slope[open_tasks] = left, left_slope
        high[open_tasks], high_slope[open_tasks] = right, right_slope
        step[open_tasks] = torch.where(accepted, trial, torch.where(torch.isinf(right), grown, inside))
        still = torch.nonzero(~accepted).squeeze(1)
        if not len(still):
            return step
        open_tasks = open_tasks[still]
        margins, moves = margins[:, still], moves[:, still]
    # The left end of the bracket has a negative slope all the way from 0: it is lower, or it is 0.
    step[open_tasks] = low[open_tasks]
    return step


def _along(margins: Tensor, moves: Tensor, step: Tensor, threads: int) -> tuple[Tensor, Tensor]:
    """Loss at `margins + step * moves` and its derivative by the step, float64 [n_tasks] each."""
    length = step.to(margins.dtype)

    def part(block: slice) -> tuple[Tensor, Tensor]:
        trial = torch.addcmul(margins[block], moves[block], length)
        loss = softplus(trial).sum(dim=0)
        return loss, trial.sigmoid_().mul_(moves[block]).sum(dim=0)

    loss, slope = torch.zeros_like(step), torch.zeros_like(step)
    for some_loss, some_slope in map_rows(part, len(margins), threads):
        loss += some_loss
        slope += some_slope
    return loss, slope


def _margins(design: Design, signs: Tensor, weights: Tensor) -> Tensor:
    """sign * (X V w + b), [n_rows, n_tasks] in the design's dtype."""
    margins = torch.empty_like(signs)
    by_feature = multiply(design.rotation, weights[:-1]).to(design.dtype)
    intercepts = weights[-1].to(design.dtype)

    def part(block: slice) -> None:
        logits = multiply(design.rows(block), by_feature).add_(intercepts)
        torch.mul(logits, signs[block], out=margins[block])

    for _ in map_rows(part, design.n_rows, design.threads):
        pass
    return margins


def _evaluate(design: Design, signs: Tensor, margins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Loss and mean p (1 - p), float64 [n_tasks], and the loss's gradient, float64 [rank + 1, n_tasks].

    Sums are in the design's dtype within a block of rows, and in float64 over blocks.
    """

    def part(block: slice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        loss = softplus(margins[block]).sum(dim=0)
        missed = torch.sigmoid(margins[block])
        curvature = (missed * (1 - missed)).sum(dim=0)
        residual = missed.mul_(signs[block])
        return loss, curvature, residual.sum(dim=0), multiply(design.rows(block).T, residual)

    n_features, n_tasks = design.rotation.shape[0], signs.shape[1]
    loss = torch.zeros(n_tasks, dtype=torch.float64, device=signs.device)
    curvature, by_intercept = torch.zeros_like(loss), torch.zeros_like(loss)
    by_feature = torch.zeros(n_features, n_tasks, dtype=design.dtype, device=signs.device)
    for some_loss, some_curvature, some_intercept, some_feature in map_rows(
        part, design.n_rows, design.threads
    ):
        loss += some_loss
        curvature += some_curvature
        by_intercept += some_intercept
        by_feature += some_feature
    gradient = torch.cat([multiply(design.rotation.T, by_feature.double()), by_intercept[None]])
    return loss, curvature / design.n_rows, gradient
