"""The block bootstrap of all scores: time and memory against resampling windows and scoring them again.

    python benchmarks/bootstrap.py [--resamples 1000] [--size WINDOWS TASKS BLOCKS]

Ours runs in full. The others are timed for one resample (torchmetrics: two) of at most 50 tasks, and their
time for all is extrapolated: they do the same for every task and every resample. Seconds are the processor's,
so that other programs matter little; each case runs in a process of its own with one thread, so that its peak
memory is its own. torchmetrics' BootStrapper draws windows, not blocks, and does AUROC and AP only.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from metrics import apart, peak_bytes, save_inputs, synthetic

from genome_lm.evaluation.blocks import Blocks

SIZES = ((9_091, 374, 80), (50_000, 919, 440))
SAMPLED_TASKS = 50


@dataclass(frozen=True)
class Inputs:
    """One predictor, [n_windows, n_tasks], thresholds [n_tasks] and blocks of equal size."""

    logits: np.ndarray
    labels: np.ndarray
    thresholds: np.ndarray
    blocks: Blocks

    def repeated(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits and labels of the windows of each block as often as it was drawn."""
        windows = np.repeat(np.arange(len(self.logits)), weights[self.blocks.of_window].astype(int))
        return self.logits[windows], self.labels[windows]


def inputs_from(logits: np.ndarray, labels: np.ndarray, n_blocks: int) -> Inputs:
    return Inputs(
        logits,
        labels,
        np.quantile(logits[:1_000], 0.95, axis=0).astype(np.float64),
        Blocks(100_000, n_blocks, np.arange(len(logits)) * n_blocks // len(logits)),
    )


def ours(inputs: Inputs, n_resamples: int) -> dict[str, np.ndarray]:
    """Every measure in every resample."""
    from genome_lm.evaluation.bootstrap import draw_weights, resample_scores

    weights = draw_weights(inputs.blocks.n_blocks, n_resamples, seed=0)
    return resample_scores(inputs.logits, inputs.labels, inputs.thresholds, inputs.blocks, weights)


def paired_test(inputs: Inputs, n_resamples: int) -> object:
    """The paired test against chance (the logits in reverse order), with ten times as many resamples."""
    from genome_lm.evaluation.significance import paired_f1_test

    return paired_f1_test(
        inputs.logits,
        inputs.logits[::-1],
        inputs.labels,
        inputs.thresholds,
        inputs.thresholds,
        inputs.blocks,
        n_resamples=10 * n_resamples,
    )


def own_metrics_again(inputs: Inputs, n_resamples: int) -> None:
    """This package's metrics of all tasks at once, on each resample's windows."""
    from genome_lm.evaluation.bootstrap import draw_weights
    from genome_lm.metrics import (
        auroc_and_average_precision,
        binary_cross_entropy_per_task,
        brier_score_per_task,
        confusion_at,
        expected_calibration_error,
    )

    for weights in draw_weights(inputs.blocks.n_blocks, n_resamples, seed=0):
        logits, labels = inputs.repeated(weights)
        auroc_and_average_precision(logits, labels)
        _ = confusion_at(logits, labels, inputs.thresholds).f1
        binary_cross_entropy_per_task(logits, labels)
        brier_score_per_task(logits, labels)
        expected_calibration_error(logits, labels)


def sklearn_again(inputs: Inputs, n_resamples: int) -> None:
    """scikit-learn, task by task, on each resample's windows (it has no calibration error)."""
    from sklearn.metrics import (
        average_precision_score,
        brier_score_loss,
        log_loss,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    from genome_lm.evaluation.bootstrap import draw_weights

    for weights in draw_weights(inputs.blocks.n_blocks, n_resamples, seed=0):
        logits, labels = inputs.repeated(weights)
        probability = 1 / (1 + np.exp(-logits.astype(np.float64)))
        for task, threshold in enumerate(inputs.thresholds):
            y, z, p = labels[:, task], logits[:, task], probability[:, task]
            roc_auc_score(y, z)
            average_precision_score(y, z)
            precision_recall_fscore_support(y, z >= threshold, average="binary", zero_division=0)
            log_loss(y, p, labels=[0, 1])
            brier_score_loss(y, p, pos_label=1)


def torchmetrics_again(inputs: Inputs, n_resamples: int) -> None:
    """torchmetrics' BootStrapper around its exact AUROC, then around its exact average precision."""
    import torch
    from torchmetrics.classification import MultilabelAUROC, MultilabelAveragePrecision
    from torchmetrics.wrappers import BootStrapper

    scores, target = torch.from_numpy(inputs.logits), torch.from_numpy(inputs.labels).long()
    for metric in (MultilabelAUROC, MultilabelAveragePrecision):
        exact = metric(num_labels=scores.shape[1], average="none", thresholds=None)
        bootstrap = BootStrapper(exact, num_bootstraps=n_resamples, sampling_strategy="multinomial")
        bootstrap.update(scores, target)
        bootstrap.compute()


@dataclass(frozen=True)
class Case:
    """What is timed, and for how many resamples (None: all)."""

    function: Callable[[Inputs, int], object]
    resamples: int | None = None


OURS = "genome_lm, all 8 measures"
CASES = {
    OURS: Case(ours),
    "genome_lm, paired F1 test, 10 times the resamples": Case(paired_test),
    "genome_lm.metrics on repeated windows": Case(own_metrics_again, 1),
    "scikit-learn on repeated windows": Case(sklearn_again, 1),
    "torchmetrics BootStrapper, AUROC and AP": Case(torchmetrics_again, 2),
}


def measure(name: str, folder: Path, n_blocks: int, n_resamples: int) -> tuple[float, int]:
    """Seconds of the processor for all resamples, extrapolated, and bytes at the peak above the inputs."""
    import torch
    from threadpoolctl import threadpool_limits

    case = CASES[name]
    warnings.simplefilter("ignore")  # torchmetrics warns of tasks without positives
    torch.set_num_threads(1)
    logits, labels = np.load(folder / "logits.npy"), np.load(folder / "labels.npy")
    with threadpool_limits(1):
        case.function(inputs_from(*synthetic(400, 3), 20), case.resamples or 2)  # imports, first calls
        scale = 1.0
        if case.resamples is not None:
            scale = n_resamples / case.resamples * max(1, logits.shape[1] / SAMPLED_TASKS)
            logits, labels = (np.ascontiguousarray(array[:, :SAMPLED_TASKS]) for array in (logits, labels))
        inputs = inputs_from(logits, labels, n_blocks)
        before, start = peak_bytes(), time.process_time()
        case.function(inputs, case.resamples or n_resamples)
        return scale * (time.process_time() - start), peak_bytes() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=1_000)
    parser.add_argument("--size", nargs=3, type=int, action="append", metavar=("WINDOWS", "TASKS", "BLOCKS"))
    parser.add_argument("--only", choices=CASES, action="append", help="cases to run (default: all)")
    arguments = parser.parse_args()
    print(
        f"| windows x tasks, blocks | {arguments.resamples:,} resamples by | CPU seconds | ratio | memory |"
    )
    print("|---|---|---:|---:|---:|")
    for n_windows, n_tasks, n_blocks in arguments.size or SIZES:
        reference = None
        with tempfile.TemporaryDirectory() as folder:
            apart(save_inputs, n_windows, n_tasks, Path(folder))
            for name in arguments.only or CASES:
                seconds, memory = apart(measure, name, Path(folder), n_blocks, arguments.resamples)
                reference = seconds if name == OURS else reference
                row = [f"{n_windows:,} x {n_tasks}, {n_blocks}", name]
                if CASES[name].resamples is None:
                    row += [f"{seconds:,.1f}", "", f"{memory / 2**20:,.0f} MiB"]
                else:
                    row += [f"{seconds:,.0f} (extrapolated)", "", ""]
                row[3] = f"{seconds / reference:,.1f}" if reference else ""
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
