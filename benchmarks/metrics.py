"""Scores of all tasks: this package against torchmetrics and scikit-learn.

    python benchmarks/metrics.py          # AUROC and AP, exact
    python benchmarks/metrics.py --all    # all scores of each task, exact and streaming

Scores are synthetic but shaped like real ones: positive rates of 0.1 to 20%, logits of a weak predictor in
float32. Each case runs in a process of its own, so that its peak memory is its own; torchmetrics runs with
one thread and with torch's default, because on some machines the second thread costs more than it brings.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import all_metrics
import numpy as np
from all_metrics import Scores

SIZES = ((9_091, 374), (8_000, 919))
SIZES_OF_ALL = ((50_000, 919),)

Pair = tuple[np.ndarray, np.ndarray]
R = TypeVar("R")


def synthetic(n_windows: int, n_tasks: int, seed: int = 0) -> Pair:
    """Logits, float32, and labels, uint8, [n_windows, n_tasks]."""
    generator = np.random.default_rng(seed)
    rate = 10 ** generator.uniform(-3, -0.7, n_tasks)
    labels = (generator.random((n_windows, n_tasks), dtype=np.float32) < rate).astype(np.uint8)
    logits = generator.standard_normal((n_windows, n_tasks), dtype=np.float32)
    logits += 0.8 * labels + np.log(rate / (1 - rate)).astype(np.float32)
    return logits, labels


def ours(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Both scores, each with a sort of its own."""
    from genome_lm.metrics.ranking import auroc, average_precision

    return {"AUROC": auroc(logits, labels), "AP": average_precision(logits, labels)}


def ours_together(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """Both scores from one sort."""
    from genome_lm.metrics.ranking import auroc_and_average_precision

    return dict(zip(("AUROC", "AP"), auroc_and_average_precision(logits, labels), strict=True))


def with_torchmetrics(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """torchmetrics' exact multilabel metrics, as a Lightning module would call them after an epoch."""
    import torch
    from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision

    scores, target = torch.from_numpy(logits), torch.from_numpy(labels).long()
    tasks = logits.shape[1]
    return {
        "AUROC": multilabel_auroc(scores, target, tasks, average="none", thresholds=None).numpy(),
        "AP": multilabel_average_precision(scores, target, tasks, average="none", thresholds=None).numpy(),
    }


def with_sklearn(logits: np.ndarray, labels: np.ndarray) -> Scores:
    """scikit-learn, task by task."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    columns = range(logits.shape[1])
    return {
        "AUROC": np.array([roc_auc_score(labels[:, task], logits[:, task]) for task in columns]),
        "AP": np.array([average_precision_score(labels[:, task], logits[:, task]) for task in columns]),
    }


@dataclass(frozen=True)
class Case:
    """One way to compute scores, and torch's threads while it does (0: torch's default)."""

    function: Callable[[np.ndarray, np.ndarray], Scores]
    threads: int = 1


SKLEARN = "scikit-learn, task by task"
TORCHMETRICS = "torchmetrics exact, 1 thread"
CASES = {
    "genome_lm": Case(ours),
    "genome_lm, one sort for both": Case(ours_together),
    SKLEARN: Case(with_sklearn),
    TORCHMETRICS: Case(with_torchmetrics),
    "torchmetrics exact, default threads": Case(with_torchmetrics, threads=0),
}
CASES_OF_ALL = {
    "genome_lm, exact": Case(all_metrics.exact),
    "genome_lm, streaming": Case(all_metrics.streaming),
    SKLEARN: Case(all_metrics.with_sklearn),
    TORCHMETRICS: Case(all_metrics.with_torchmetrics),
}


@dataclass(frozen=True)
class Result:
    """The best of three runs (of one, if that took more than five seconds)."""

    seconds: float
    cpu_seconds: float
    memory: int  # bytes at the peak, above the inputs
    scores: Scores


def peak_bytes() -> int:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(case: Case, inputs: Path) -> Result:
    """Run a case on saved inputs."""
    warnings.simplefilter("ignore")  # torchmetrics warns of tasks without positives
    if case.function is with_torchmetrics and case.threads:
        import torch

        torch.set_num_threads(case.threads)
    case.function(*synthetic(500, 2))  # imports and first-call costs are not what is compared
    logits, labels = np.load(inputs / "logits.npy"), np.load(inputs / "labels.npy")
    before = peak_bytes()
    timings = []
    for _ in range(3):
        start, cpu_start = time.perf_counter(), time.process_time()
        scores = case.function(logits, labels)
        timings.append((time.perf_counter() - start, time.process_time() - cpu_start))
        if timings[0][0] > 5:
            break
    return Result(*min(timings), peak_bytes() - before, scores)


def save_inputs(n_windows: int, n_tasks: int, folder: Path) -> None:
    """Write logits.npy and labels.npy."""
    for name, array in zip(("logits", "labels"), synthetic(n_windows, n_tasks), strict=True):
        np.save(folder / f"{name}.npy", array)


def apart(function: Callable[..., R], *arguments: object) -> R:
    """Run a function in a fresh process. A child starts with its parent's peak, so the parent stays small."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs=2, type=int, action="append", metavar=("WINDOWS", "TASKS"))
    parser.add_argument("--all", action="store_true", help="all scores of each task, exact and streaming")
    parser.add_argument("--only", choices=[*CASES, *CASES_OF_ALL], action="append", help="cases to run")
    arguments = parser.parse_args()
    cases = CASES_OF_ALL if arguments.all else CASES
    columns = ["windows x tasks", "by", "seconds", "CPU seconds", "CPU speed-up", "memory"]
    columns += ["AUROC off by", "AP off by"] + (["F1", "others"] if arguments.all else [])
    print(f"| {' | '.join(columns)} |")
    print(f"|---|---|{'---:|' * (len(columns) - 2)}")
    for n_windows, n_tasks in arguments.size or (SIZES_OF_ALL if arguments.all else SIZES):
        results = {}
        with tempfile.TemporaryDirectory() as folder:
            apart(save_inputs, n_windows, n_tasks, Path(folder))
            for name in arguments.only or cases:
                results[name] = apart(measure, cases[name], Path(folder))
        for name, result in results.items():
            row = [f"{n_windows:,} x {n_tasks}", name, *cells(result, results)]
            print(f"| {' | '.join(row)} |", flush=True)


def cells(result: Result, results: dict[str, Result]) -> list[str]:
    """Time, memory, and the largest differences from scikit-learn over tasks, if that has run."""
    speedup = ""
    if TORCHMETRICS in results:
        speedup = f"{results[TORCHMETRICS].cpu_seconds / result.cpu_seconds:.1f}x"
    row = [f"{result.seconds:.2f}", f"{result.cpu_seconds:.2f}", speedup, f"{result.memory / 2**20:.0f} MiB"]
    names = [[name] for name in ("AUROC", "AP", "F1")] + [["cross-entropy", "Brier", "ECE"]]
    for group in names[: 4 if "F1" in result.scores else 2]:
        if SKLEARN not in results:
            row.append("")
            continue
        exact = results[SKLEARN].scores
        row.append(f"{max(np.nanmax(np.abs(result.scores[name] - exact[name])) for name in group):.0e}")
    return row


if __name__ == "__main__":
    main()
