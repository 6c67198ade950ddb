"""The baseline's fit of all tasks at once against scikit-learn's LogisticRegression task by task.

    python benchmarks/baseline.py
    python benchmarks/baseline.py --penalty 1e6 --sample 2
    python benchmarks/baseline.py --contexts 100 200 500 1000 --strands summed

The first two compare solvers on the embedded dataset: the same standardised counts (float32), C and threads.
A seeded sample of tasks stands for all; scikit-learn's time for it is scaled up. Each solver runs at several
tolerances, and a ratio compares scikit-learn with the fastest of our runs that got as low or lower in the
objective. Ours are timed from the raw counts, before and after scikit-learn's runs; the mean counts.

With --contexts it makes the full baseline instead, C chosen on validation, at each context, and scores it.
"""

import argparse
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from genome_lm.baseline.design import measure_scaling
from genome_lm.baseline.fit import FitSettings, compare_contexts, count_windows
from genome_lm.baseline.kmers import Strands
from genome_lm.baseline.logistic import LogisticFit, fit_logistic
from genome_lm.choices import PenaltyChoice
from genome_lm.dataset.format import Dataset, embedded_dataset_path, open_dataset
from genome_lm.dataset.tasks import choose_tasks
from genome_lm.metrics import (
    auroc_and_average_precision,
    best_f1_thresholds,
    binary_cross_entropy_per_task,
    confusion_at,
    perplexity,
    prior_cross_entropy,
)

OUR_TOLERANCES = (1e-5, 1e-6)
"""On the relative distance of the objective from its minimum; the second is the default."""

THEIR_TOLERANCES = (1e-4, 1e-5)
"""scikit-learn's, on the largest component of the mean loss's gradient; the first is its default."""

SAME_OBJECTIVE = 1e-6
"""Relative difference below which objectives count as equal: the rounding of float32 products."""


@dataclass(frozen=True)
class Reference:
    """scikit-learn's fits of the sampled tasks at one tolerance."""

    tolerance: float
    seconds: np.ndarray
    objective: np.ndarray
    gradient_norm: np.ndarray
    unconverged: int


def objective_and_gradient(
    x: np.ndarray, y: np.ndarray, c: float, weights: np.ndarray, intercept: float
) -> tuple[float, float]:
    """C * sum of cross-entropies + |w|^2 / 2 and the norm of its gradient, in float64."""
    sign = 1.0 - 2.0 * y
    margin = sign * (x.astype(np.float64) @ weights + intercept)
    residual = c * sign / (1 + np.exp(-margin))
    gradient = np.append(residual @ x + weights, residual.sum())
    return c * np.logaddexp(0, margin).sum() + 0.5 * weights @ weights, float(np.linalg.norm(gradient))


def with_scikit_learn(x: np.ndarray, labels: np.ndarray, c: float, tolerance: float) -> Reference:
    """Fit each column of `labels`; not converging is counted, not hidden."""
    seconds, objectives, norms, unconverged = [], [], [], 0
    for y in labels.T:
        model = LogisticRegression(C=c, tol=tolerance, max_iter=10_000)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            began = time.perf_counter()
            model.fit(x, y)
            seconds.append(time.perf_counter() - began)
        unconverged += bool(caught)
        value, norm = objective_and_gradient(
            x, y, c, model.coef_[0].astype(np.float64), float(model.intercept_[0])
        )
        objectives.append(value)
        norms.append(norm)
    return Reference(tolerance, np.array(seconds), np.array(objectives), np.array(norms), unconverged)


def timed_fit(
    counts: np.ndarray, labels: np.ndarray, c: float, tolerance: float
) -> tuple[LogisticFit, float]:
    began = time.perf_counter()
    fit = fit_logistic(counts, labels, c, tolerance=tolerance)
    return fit, time.perf_counter() - began


def compare_solvers(dataset: Dataset, tasks: np.ndarray, context_bp: int, c: float, sample: int) -> None:
    """Print the table of both solvers."""
    train = dataset.windows_of("train")
    began = time.perf_counter()
    counts = count_windows(dataset, train, context_bp, Strands.FORWARD)
    counting = time.perf_counter() - began
    labels = dataset.labels(train, tasks)
    scaling = measure_scaling(counts)
    x = ((counts - scaling.mean) / scaling.scale).astype(np.float32)
    chosen = np.sort(np.random.default_rng(0).choice(len(tasks), min(sample, len(tasks)), replace=False))
    print(
        f"{len(train):,} windows of {context_bp} bp, {counts.shape[1]:,} features, {len(tasks)} tasks, "
        f"C = {c:g}, {torch.get_num_threads()} threads; counting k-mers {counting:.1f} s"
    )

    fits, seconds = [], np.zeros(len(OUR_TOLERANCES))
    for place, tolerance in enumerate(OUR_TOLERANCES):
        fit, seconds[place] = timed_fit(counts, labels, c, tolerance)
        fits.append(fit)
    references = [with_scikit_learn(x, labels[:, chosen], c, tolerance) for tolerance in THEIR_TOLERANCES]
    for place, tolerance in enumerate(OUR_TOLERANCES):
        seconds[place] = (seconds[place] + timed_fit(counts, labels, c, tolerance)[1]) / 2

    # All objectives are computed anew in float64, from the coefficients.
    own = [
        [
            objective_and_gradient(x, labels[:, task], c, fit.coefficients[:, task], fit.intercepts[task])
            for task in chosen
        ]
        for fit in fits
    ]
    values = [np.array([value for value, _ in pairs]) for pairs in own]
    lowest = np.min([*values, *(reference.objective for reference in references)], axis=0)
    print("| solver | seconds | objective over the lowest, most | gradient norm, most | ratio |")
    print("|---|---|---|---|---|")
    for tolerance, total, value, pairs in zip(OUR_TOLERANCES, seconds, values, own, strict=True):
        excess, norm = np.max(value / lowest - 1), max(norm for _, norm in pairs)
        print(f"| ours, tolerance {tolerance:g} | {total:.1f} | {excess:.1e} | {norm:.2g} | |")
    for reference in references:
        total = reference.seconds.mean() * len(tasks)
        as_low = [
            ours
            for ours, value in zip(seconds, values, strict=True)
            if (value <= reference.objective * (1 + SAME_OBJECTIVE)).all()
        ]
        ratio = f"{total / min(as_low):.1f}" if as_low else "we stay above"
        excess = np.max(reference.objective / lowest - 1)
        print(
            f"| scikit-learn, tol {reference.tolerance:g}, {len(chosen)} tasks scaled up | {total:.1f} | "
            f"{excess:.1e} | {reference.gradient_norm.max():.2g} | {ratio} |"
        )
        if reference.unconverged:
            print(f"  {reference.unconverged} of {len(chosen)} did not converge in 10,000 iterations")
    for tolerance, fit in zip(OUR_TOLERANCES, fits, strict=True):
        several = ~fit.single_class
        relative = fit.relative_gradient_norm[several]
        print(
            f"ours, tolerance {tolerance:g}, all tasks: {np.count_nonzero(~fit.converged & several)} not "
            f"converged, iterations median {np.median(fit.iterations[several]):.0f}, most "
            f"{fit.iterations.max()}; gradient norm over that at zero weights: median "
            f"{np.median(relative):.1e}, most {relative.max():.1e}"
        )


def score_contexts(
    dataset: Dataset, tasks: np.ndarray, contexts: list[int], settings: FitSettings, cache: Path | None
) -> None:
    """Print scores of the full baseline at each context; C and thresholds by validation."""
    valid, test = dataset.windows_of("valid"), dataset.windows_of("test")
    rate = dataset.positive_rate("train")[tasks]
    prior = [
        perplexity(float(prior_cross_entropy(rate, dataset.labels(windows, tasks).mean(axis=0)).mean()))
        for windows in (valid, test)
    ]
    print("| baseline | valid perplexity | test perplexity | test AUROC | AP | F1 | median C | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    print(f"| prior | {prior[0]:.4f} | {prior[1]:.4f} | | | | | |")
    comparison = compare_contexts(dataset, tasks, contexts, settings, cache=cache)
    for fit in comparison.fits:
        logits, labels = fit.logits[fit.split == 2], dataset.labels(test, tasks)
        thresholds = best_f1_thresholds(fit.logits[fit.split == 1], dataset.labels(valid, tasks))
        areas, precisions = auroc_and_average_precision(logits, labels)
        f1 = confusion_at(logits, labels, thresholds).f1
        score = perplexity(float(binary_cross_entropy_per_task(logits, labels).mean()))
        print(
            f"| {fit.description} | {fit.valid_perplexity:.4f} | {score:.4f} | {np.nanmean(areas):.4f} | "
            f"{np.nanmean(precisions):.4f} | {np.nanmean(f1):.4f} | {np.median(fit.penalty):.3g} | "
            f"{fit.seconds:.0f} |",
            flush=True,
        )
        if fit.n_unconverged:
            print(f"  {fit.n_unconverged} tasks not converged")
    print(f"best on validation: {comparison.best.description}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--context", type=int, default=200, help="bp, for the comparison of solvers")
    parser.add_argument("--penalty", type=float, default=3e-4, help="C, for the comparison of solvers")
    parser.add_argument("--sample", type=int, default=8, help="tasks fitted with scikit-learn")
    parser.add_argument("--contexts", type=int, nargs="+", help="score the full baseline at these, in bp")
    parser.add_argument("--strands", type=Strands, choices=list(Strands), default=Strands.FORWARD)
    parser.add_argument(
        "--choice", type=PenaltyChoice, choices=list(PenaltyChoice), default=PenaltyChoice.per_task
    )
    parser.add_argument("--cache", type=Path, help="folder that keeps the full baseline's fits")
    arguments = parser.parse_args()
    dataset = open_dataset(embedded_dataset_path())
    tasks = choose_tasks(dataset, min_positive_rate=0.01)
    if arguments.contexts:
        settings = FitSettings(arguments.choice, arguments.strands)
        score_contexts(dataset, tasks, arguments.contexts, settings, arguments.cache)
    else:
        compare_solvers(dataset, tasks, arguments.context, arguments.penalty, arguments.sample)


if __name__ == "__main__":
    main()
